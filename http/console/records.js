// What is kept: evaluation runs, batches, changes and their diffs, keys.
import {Drawer, ask, confirmed, count, empty, h, key, patchLines, percent, reason, say, table, title, usd, when} from './page.js';

const kSeconds = 3;
const kRows = 100;

const kStates = {done: 'good', completed: 'good', failed: 'bad', cancelled: 'warn', running: 'warn', in_progress: 'warn', queued: '', usable: 'good', expired: 'warn', revoked: 'bad'};
const stateOf = (word) => h('span', {class: `state ${kStates[word] ?? ''}`}, reason(word));

/** An interval around a difference, in points. */
const gainOf = (gain) => (gain ? `${(100 * gain[0]).toFixed(1)} (${(100 * gain[1]).toFixed(1)} to ${(100 * gain[2]).toFixed(1)})` : '');

function policiesOf(report) {
  const rows = Object.entries(report.policies).map(([name, row]) => h('tr', {}, h('th', {scope: 'row'}, reason(name)),
    h('td', {class: 'number'}, row.score === null ? '' : percent(row.score, 2)), h('td', {class: 'number'}, row.cost === null ? '' : usd(row.cost)),
    h('td', {class: 'number'}, gainOf(row.gain))));
  return [h('p', {class: 'soft'}, `${count(report.rows)} queries; the gain is over the best single expert, in points, with its 95% interval.`),
    table('Policies', [['Policy'], ['Right', 1], ['Price a query', 1], ['Gain', 1]], rows)];
}

async function openRun(stage, drawer, id) {
  const run = await stage.ask(`/eval/runs/${id}`);
  const page = h('p', {}, h('a', {href: `/eval/runs/${id}/report`, target: '_blank', rel: 'noopener'}, 'The whole report as a page'));
  drawer.show(`Run ${id.slice(-8)}`, run.error && h('p', {class: 'state bad'}, run.error),
    run.report ? policiesOf(run.report) : empty(`No report; the run is ${run.status}.`),
    run.report && !key.get() && page,  // a link takes no key along
    h('h3', {}, 'Asked for'), h('pre', {tabindex: 0}, JSON.stringify(run.request, null, 1)));
}

async function cancel(id) {
  await ask(`/admin/jobs/${id}/cancel`, {method: 'POST', body: {}});
  say('It is being cancelled.');
}

const isUnderWay = ({status}) => status === 'running' || status === 'queued';
const farOf = ({progress}) => (progress ? `${progress.stage} ${percent(progress.done)}` : '');
const stateCell = (job) => h('td', {}, stateOf(job.status), farOf(job) && h('div', {class: 'small soft'}, farOf(job)));
const cancelCell = (job) => h('td', {class: 'number'}, isUnderWay(job) && h('button', {type: 'button', onclick: () => cancel(job.id).catch(report)}, 'Cancel'));

/** What came of a job that makes a policy. */
function cameOf({error, report: came}) {
  if (error) return error;
  if (!came?.policy) return '';
  return `policy ${came.policy.slice(0, 8)}, ${came.promoted ? 'promoted' : 'not promoted'}: ${came.why}`;
}

const jobRow = (job) => h('tr', {}, h('th', {scope: 'row'}, job.kind), stateCell(job), h('td', {class: 'nowrap'}, when(job.created_us)),
  h('td', {}, [...job.request.questions ?? [], ...job.request.outcomes ?? []].join(', ')), h('td', {}, cameOf(job)), cancelCell(job));

const report = (error) => error.name !== 'AbortError' && say(error.message);

export async function showEvaluations(stage, ready) {
  const place = h('div', {});
  const others = h('div', {});
  const drawer = new Drawer('Report');
  let shown = '';

  function rowOf(run) {
    return h('tr', {}, h('th', {scope: 'row'}, h('button', {type: 'button', class: 'link', onclick: () => openRun(stage, drawer, run.id).catch(report)}, run.id.slice(-8))),
      stateCell(run), h('td', {class: 'nowrap'}, when(run.created_us)),
      h('td', {}, (run.request.outcomes ?? []).join(', ')), h('td', {}, run.request.policy ?? 'running'), cancelCell(run));
  }

  async function refresh() {
    const {data: all} = await stage.ask('/admin/jobs');
    const state = JSON.stringify(all.map(({id, status, progress}) => [id, status, progress]));
    if (state === shown) return;
    shown = state;
    const data = all.filter(({kind}) => kind === 'eval');
    const makers = all.filter(({kind}) => kind !== 'eval');
    others.replaceChildren(makers.length ? table('Jobs', [['Job'], ['State'], ['Made'], ['Files'], ['What came of it'], ['', 1]], makers.map(jobRow))
      : empty('No policy was trained, learned or probed for. `skillyard job train`, `skillyard expert probe`.'));
    place.replaceChildren(data.length ? table('Runs', [['Run'], ['State'], ['Made'], ['Outcomes'], ['Policy'], ['', 1]], data.map(rowOf))
      : empty('No run yet. Upload outcomes with PUT /eval/outcomes/NAME and start one with POST /eval/runs.'));
  }

  await refresh();
  stage.root.replaceChildren(...title('Evaluations', 'Policies judged offline on recorded outcomes.'),
    h('section', {class: 'sheet'}, place), h('section', {class: 'sheet'}, h('h2', {}, 'Jobs that make policies'), others), drawer.element);
  ready();
  await stage.every(kSeconds, refresh);
}

const kUnderWay = ['validating', 'in_progress', 'finalizing'];

async function cancelBatch(id) {
  await ask(`/v1/batches/${id}/cancel`, {method: 'POST', body: {}});
  say('It keeps what it has and ends.');
}

/** Lines that have ended, of how many. */
function linesOf({total, completed, failed}) {
  const far = total ? `${percent((completed + failed) / total)}, ${count(completed)} of ${count(total)}` : '';
  return failed ? `${far}, ${count(failed)} failed` : far;
}

const batchRow = (batch) => h('tr', {}, h('th', {scope: 'row'}, h('code', {}, batch.id.slice(-8))), h('td', {}, stateOf(batch.status)),
  h('td', {}, linesOf(batch.request_counts)), h('td', {class: 'nowrap'}, when(batch.created_at * 1e6)),
  h('td', {class: 'nowrap'}, when(batch.expires_at * 1e6)), h('td', {}, batch.errors?.data?.[0]?.message ?? ''),
  h('td', {class: 'number'}, kUnderWay.includes(batch.status) && h('button', {type: 'button', 'aria-label': `Cancel the batch ${batch.id.slice(-8)}`,
    onclick: () => cancelBatch(batch.id).catch(report)}, 'Cancel')));

export async function showBatches(stage, ready) {
  const place = h('div', {});
  let shown = '';

  async function refresh() {
    const {data} = await stage.ask(`/v1/batches?limit=${kRows}`);
    const state = JSON.stringify(data);
    if (state === shown) return;
    shown = state;
    place.replaceChildren(data.length ? table('Batches', [['Batch'], ['State'], ['Lines'], ['Made'], ['Ends'], ['What is wrong'], ['', 1]], data.map(batchRow))
      : empty('No batch yet. POST /v1/files and /v1/batches, or `skillyard batch FILE` without a service.'));
  }

  await refresh();
  stage.root.replaceChildren(...title('Batches', 'Files of questions that nobody waits for: answered within a day, after everybody else.'),
    h('section', {class: 'sheet'}, place));
  ready();
  await stage.every(kSeconds, refresh);
}

function changeLines(change) {
  return h('div', {}, h('h3', {}, `${change.kind}/${change.name}`), h('pre', {class: 'diff', tabindex: 0}, patchLines(change.diff)));
}

async function openVersion(stage, drawer, version) {
  const found = await stage.ask(`/admin/versions/${version}`);
  drawer.show(`Version ${version}`, found.comment && h('p', {class: 'soft'}, found.comment),
    found.changes.length ? found.changes.map(changeLines) : empty('It changed nothing.'));
}

/** Shows what going back would change before it is done. */
async function goBack(version, done) {
  const path = `/admin/versions/${version}/rollback`;
  const wouldBe = await ask(`${path}?validate=1`, {method: 'POST', body: {}});
  const name = version === 0 ? 'the configuration file' : `version ${version}`;
  const diffs = Object.entries(wouldBe.diff ?? {}).map(([what, operations]) => changeLines({kind: what.split('/')[0], name: what.split('/').slice(1).join('/'), diff: operations}));
  if (wouldBe.outcome === 'unchanged' || !diffs.length) return say(`Everything is as at ${name} already.`);
  if (!await confirmed(`Go back to ${name}?`, [h('p', {}, 'This makes a new version that changes:'), ...diffs], 'Go back')) return;
  const now = await ask(`${path}?comment=console`, {method: 'POST', body: {}});
  say(`Version ${now.version}: everything is as it was at ${name}.`);
  await done();
}

export async function showChanges(stage, ready) {
  const drawer = new Drawer('Change');
  const place = h('div', {});

  const rowOf = (one, i) => h('tr', {}, h('th', {scope: 'row'}, h('button', {type: 'button', class: 'link', onclick: () => openVersion(stage, drawer, one.version).catch(report)}, `version ${one.version}`)),
    h('td', {class: 'nowrap'}, when(one.unix_us)), h('td', {}, one.verb), h('td', {}, one.author), h('td', {}, one.comment),
    h('td', {class: 'number'}, i === 0 ? h('span', {class: 'soft'}, 'in force')
      : h('button', {type: 'button', 'aria-label': `Go back to version ${one.version}`, onclick: () => goBack(one.version, again).catch(report)}, 'Go back')));

  const again = async () => {
    drawer.close();
    const {data} = await stage.ask(`/admin/versions?limit=${kRows}`);
    place.replaceChildren(data.length ? table('Changes', [['Version'], ['Time'], ['What'], ['By'], ['Comment'], ['', 1]], data.map(rowOf))
      : empty('Nothing was changed since the start: everything is as the configuration file says.'),
    data.length ? h('p', {class: 'actions'}, h('button', {type: 'button', onclick: () => goBack(0, again).catch(report)}, 'Give everything back to the file')) : '');
  };

  await again();
  stage.root.replaceChildren(...title('Changes', 'What administrators changed, and the way back. Going back is a version like any other.'),
    h('section', {class: 'sheet'}, place), drawer.element);
  ready();
}

const limitsOf = (one) => [one.requests_per_minute && `${count(one.requests_per_minute)} requests/min`, one.tokens_per_minute && `${count(one.tokens_per_minute)} tokens/min`,
  one.usd_per_day && `${usd(one.usd_per_day)} a day`, one.usd_per_month && `${usd(one.usd_per_month)} a month`].filter(Boolean).join(', ') || 'none';

export async function showKeys(stage, ready) {
  const {data} = await stage.ask('/admin/keys');
  const rows = data.map((one) => h('tr', {}, h('th', {scope: 'row'}, one.name || 'no name'), h('td', {class: 'nowrap'}, h('code', {}, `${one.prefix}…`)), h('td', {}, one.role),
    h('td', {}, stateOf(one.state)), h('td', {class: 'nowrap'}, when(one.created_us)), h('td', {class: 'nowrap'}, one.expires_us ? when(one.expires_us) : 'never'),
    h('td', {}, one.models.length ? one.models.join(', ') : 'all'), h('td', {}, limitsOf(one)),
    h('td', {class: 'number'}, usd(one.spent_microusd_day / 1e6)), h('td', {class: 'number'}, usd(one.spent_microusd_month / 1e6))));
  const columns = [['Name'], ['Begins with'], ['Role'], ['State'], ['Made'], ['Ends'], ['Models'], ['Limits'], ['Today', 1], ['This month', 1]];
  stage.root.replaceChildren(...title('Keys', 'Who may ask. Secrets are shown once, when a key is made: `skillyard key add`.'),
    h('section', {class: 'sheet'}, data.length ? table('Keys', columns, rows) : empty('No key was ever made: everybody who reaches the service may ask.')));
  ready();
}
