// Decisions as they are made, and why one of them fell as it did.
import {Drawer, count, duration, empty, facts, h, percent, reason, say, table, title, usd, when} from './page.js';

const kSeconds = 2;
const kRows = 50;
const kCandidates = 12;
const kShareShown = 0.005;

const part = (value) => `${(100 * Math.min(1, Math.max(0, value))).toFixed(1)}%`;

/** An estimate with its interval, drawn on the scale from 0 to 1. */
function range(at, [from, to]) {
  return h('span', {class: 'range', role: 'img', 'aria-label': `between ${percent(from)} and ${percent(to)}`},
    h('i', {'--from': part(from), '--wide': part(to - from)}), h('b', {'--at': part(at)}));
}

function skillsOf(route) {
  const shares = route.skills.filter(({share}) => share >= kShareShown);
  if (!shares.length) return empty('No skill was read in this query.');
  return h('dl', {class: 'bars'}, shares.map(({skill, share}) => [h('dt', {}, skill),
    h('dd', {class: 'track'}, h('i', {'--part': part(share)})), h('dd', {class: 'number'}, percent(share))]));
}

function candidateRow(candidate, chosen) {
  return h('tr', {class: chosen.includes(candidate.expert) ? 'chosen' : undefined},
    h('th', {scope: 'row'}, candidate.expert, candidate.barred_by && h('div', {class: 'small soft'}, `barred: ${reason(candidate.barred_by)}`)),
    h('td', {class: 'number'}, percent(candidate.p_correct, 1)), h('td', {}, range(candidate.p_correct, candidate.p_correct_interval)),
    h('td', {class: 'number'}, candidate.utility.toFixed(3)), h('td', {class: 'number'}, usd(candidate.cost_microusd / 1e6)),
    h('td', {class: 'number'}, percent(candidate.skill_term)), h('td', {class: 'number'}, candidate.word_term.toFixed(2)),
    h('td', {class: 'number'}, count(Math.round(candidate.support))));
}

const list = (lines) => h('ul', {class: 'sentences'}, lines.map((line) => h('li', {}, line)));

function similarOf(similar) {
  const names = [...new Set(similar.flatMap(({scores}) => Object.keys(scores)))];
  return table('Similar past queries', [['Query'], ['Similarity', 1], ...names.map((name) => [name, 1])], similar.map((one) => h('tr', {},
    h('th', {scope: 'row'}, one.id), h('td', {class: 'number'}, one.similarity.toFixed(2)),
    names.map((name) => h('td', {class: 'number'}, one.scores[name] === null ? '' : percent(one.scores[name]))))));
}

/** The service's sentences, in two parts; of similar queries there is a table. */
function explained({route, explanation: why}) {
  const columns = [['Expert'], ['P(right)', 1], ['Interval'], ['Utility', 1], ['Price', 1], ['By skill', 1], ['By words', 1], ['Outcomes', 1]];
  const sentences = why.sentences.filter((line) => !line.startsWith('Similar query'));
  const other = sentences.filter((line) => /would|quality/.test(line));
  return [
    h('h3', {}, 'Why'), list(sentences.filter((line) => !other.includes(line))),
    h('h3', {}, 'What would have changed it'), other.length ? list(other) : empty('Nothing near by.'),
    h('h3', {}, 'Skills read in the query'), skillsOf(route),
    h('h3', {}, 'Candidates'), table('Candidates', columns, route.candidates.slice(0, kCandidates).map((one) => candidateRow(one, route.experts))),
    why.similar.length > 0 && [h('h3', {}, 'Similar past queries'), similarOf(why.similar)],
    h('h3', {}, 'Terms'), facts([['Bound by', reason(why.bound_by)], ['Kept from', why.kept_from], ['Abstained', route.abstained ? 'yes' : 'no'],
      ['Propensity', route.propensity.toFixed(3)], ['Gain, lower bound', route.gain_lo.toFixed(4)], ['Quality knob', why.quality.toFixed(2)]]),
  ];
}

async function explain(stage, drawer, decision) {
  const known = facts([['Model asked for', decision.model], ['Asked', decision.expert], ['Outcome', reason(decision.outcome)],
    ['Tokens', `${count(decision.prompt_tokens)} in, ${count(decision.completion_tokens)} out`],
    ['Took', `${duration(decision.total_us)}, of them ${duration(decision.decide_us)} to decide`]]);
  const text = decision.text && h('details', {}, h('summary', {}, 'Text of the query'), h('pre', {class: 'prose', tabindex: 0}, decision.text));
  const heading = `Decision ${decision.id.slice(-8)}`;
  try {
    drawer.show(heading, known, text, explained(await stage.ask(`/v1/decisions/${decision.id}/explain`)));
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    drawer.show(heading, known, text, h('p', {class: 'soft'}, error.message));
  }
}

export async function showDecisions(stage, ready) {
  const body = h('tbody', {});
  const drawer = new Drawer('Explanation');
  const expert = h('input', {id: 'expert', type: 'search', placeholder: 'its whole name', onchange: () => restart()});
  const pause = h('input', {type: 'checkbox'});
  const none = empty('No decision yet. Send a chat to skillyard/auto.');
  const columns = [['Time'], ['Asked for'], ['Expert'], ['Why'], ['Outcome'], ['Took', 1], ['Price', 1]];
  const sheet = table('Decisions', columns, []);
  sheet.querySelector('tbody').replaceWith(body);
  const seen = new Set();

  function select(row, decision) {
    for (const other of body.children) other.classList.toggle('chosen', other === row);
    explain(stage, drawer, decision).catch((error) => error.name !== 'AbortError' && say(error.message));
  }

  function rowOf(decision) {
    const good = decision.outcome === 'ok';
    const row = h('tr', {}, h('th', {scope: 'row', class: 'nowrap'},
      h('button', {type: 'button', class: 'link', 'aria-label': `Explain the decision of ${new Date(decision.unix_us / 1000).toLocaleTimeString()}`,
        onclick: () => select(row, decision)}, when(decision.unix_us))),
    h('td', {}, decision.model), h('td', {class: 'nowrap'}, decision.expert || 'nobody'), h('td', {}, reason(decision.reason)),
    h('td', {}, h('span', {class: `state ${good ? 'good' : 'bad'}`}, reason(decision.outcome))),
    h('td', {class: 'number'}, duration(decision.total_us)), h('td', {class: 'number'}, usd(decision.cost_microusd / 1e6)));
    return row;
  }

  async function refresh() {
    if (pause.checked) return;
    const query = new URLSearchParams({limit: kRows});
    if (expert.value) query.set('expert', expert.value);
    const {data} = await stage.ask(`/v1/decisions?${query}`);
    const fresh = data.filter(({id}) => !seen.has(id));
    for (const {id} of fresh) seen.add(id);
    body.prepend(...fresh.map(rowOf));
    while (body.children.length > kRows) body.lastChild.remove();
    none.hidden = body.children.length > 0;
    sheet.hidden = !none.hidden;
  }

  function restart() {
    seen.clear();
    body.replaceChildren();
    refresh().catch((error) => error.name !== 'AbortError' && say(error.message));
  }

  await refresh();
  stage.root.replaceChildren(...title('Decisions', 'As they are made, newest first. Open one to see why it fell as it did and what would have changed it.'),
    h('section', {class: 'sheet'},
      h('div', {class: 'tools'}, h('div', {}, h('label', {for: 'expert'}, 'Only of the expert'), expert), h('label', {class: 'check'}, pause, 'Pause')),
      sheet, none),
    drawer.element);
  ready();
  await stage.every(kSeconds, refresh);
}
