// The pool: who is there, how well, how busy; switching an expert off and on.
import {ask, confirmed, count, duration, empty, facts, h, say, table, title, usd, when} from './page.js';

const kSeconds = 2;

function stateOf(expert) {
  const {status, document} = expert;
  if (document.enabled === false || status.state === 'disabled') return ['', 'disabled'];
  if (!status.healthy) return ['bad', status.reason || 'unhealthy'];
  if (status.breaker !== 'closed') return ['warn', `breaker ${status.breaker}`];
  return [status.state === 'active' ? 'good' : 'warn', status.state === 'active' ? 'healthy' : status.state];
}

/** Why an expert that is well is asked less than the others, or not at all. */
const whyOf = ({status, document}) => (document.enabled === false || status.healthy ? status.reason ?? '' : '');

function checkedOf({checked}) {
  if (!checked) return 'never';
  return [when(checked.unix_us), `: ${checked.good ? 'it answered' : checked.reason || 'it did not answer'}`];
}

function callsOf(status) {
  const outcomes = Object.entries(status.outcomes ?? {});
  const all = outcomes.reduce((sum, [, calls]) => sum + calls, 0);
  return {all, bad: all - (status.outcomes?.ok ?? 0), text: outcomes.map(([name, calls]) => `${name} ${calls}`).join(', ')};
}

async function everyExpert(stage) {
  const experts = [];
  for (let after = ''; ;) {
    const page = await stage.ask(`/admin/experts?limit=500&after=${encodeURIComponent(after)}`);
    experts.push(...page.data);
    if (!page.has_more) return experts;
    after = page.next;
  }
}

const pathOf = (name) => `/admin/experts/${name.split('/').map(encodeURIComponent).join('/')}`;

async function toggle(expert, refresh) {
  const {name} = expert;
  const off = expert.document.enabled !== false;
  const verb = off ? 'disable' : 'enable';
  const question = off ? 'From the next decision on nobody asks it. Calls that run are finished.' : 'It is asked again from the next decision on.';
  if (!await confirmed(`${off ? 'Disable' : 'Enable'} ${name}?`, h('p', {}, question), off ? 'Disable' : 'Enable')) return;
  const path = `${pathOf(name)}/${verb}?comment=console`;
  try {
    await ask(path, {method: 'POST', body: {}});
  } catch (error) {
    const forced = error.status === 409 && await confirmed('This leaves nobody to answer', h('p', {}, error.message), `${off ? 'Disable' : 'Enable'} anyway`);
    if (!forced) return say(error.message);
    await ask(`${path}&force=1`, {method: 'POST', body: {}});
  }
  say(`${name} is ${verb}d.`);
  await refresh();
}

async function check(name) {
  say(`Asking ${name} …`);
  const found = await ask(`${pathOf(name)}/check`, {method: 'POST', body: {}});
  say('');
  const {object, ...rest} = found;
  await confirmed(`${name} ${found.good ? 'answers' : 'does not answer'}`, h('pre', {tabindex: 0}, JSON.stringify(rest, null, 1)));
}

function inspect(expert) {
  const {status} = expert;
  confirmed(expert.name, [
    facts([['From', expert.origin], ['Last change', expert.version ? `version ${expert.version}` : ''],
      ['State', stateOf(expert)[1]], ['Because', whyOf(expert)], ['Last check', checkedOf(status)], ['Calls', callsOf(status).text || 'none yet']]),
    h('pre', {tabindex: 0}, JSON.stringify(expert.document, null, 2)),
    h('p', {class: 'actions'}, h('button', {value: 'no', onclick: () => check(expert.name).catch((error) => say(error.message))}, 'Check it now')),
  ]);
}

/** A row that is updated in place, so that a button keeps its focus. */
class Row {
  constructor(expert, refresh) {
    this.name = h('button', {type: 'button', class: 'link', onclick: () => inspect(this.expert)}, expert.name);
    this.state = h('span', {});
    this.why = h('div', {class: 'small soft'});
    this.cells = ['load', 'queued', 'calls', 'bad', 'first', 'total', 'cost'].map(() => h('td', {class: 'number'}));
    this.button = h('button', {type: 'button', onclick: () => toggle(this.expert, refresh).catch((error) => say(error.message))});
    this.row = h('tr', {}, h('th', {scope: 'row'}, this.name), h('td', {}, this.state, this.why), this.cells, h('td', {class: 'number'}, this.button));
  }

  update(expert) {
    this.expert = expert;
    const {status} = expert;
    const [kind, words] = stateOf(expert);
    this.state.className = `state ${kind}`;
    this.state.textContent = words;
    this.why.textContent = whyOf(expert);
    const calls = callsOf(status);
    const texts = [count(status.inflight), count(status.queued), count(calls.all), count(calls.bad), duration(status.first_byte_us),
      duration(status.total_us), usd((status.cost_microusd ?? 0) / 1e6)];
    texts.forEach((text, i) => { this.cells[i].textContent = text; });
    const off = expert.document.enabled !== false;
    this.button.textContent = off ? 'Disable' : 'Enable';
    this.button.className = off ? 'danger' : '';
    this.button.setAttribute('aria-label', `${off ? 'Disable' : 'Enable'} ${expert.name}`);
  }
}

function tilesOf(experts) {
  const sum = (get) => experts.reduce((total, expert) => total + (get(expert) ?? 0), 0);
  const on = experts.filter(({document}) => document.enabled !== false);
  const well = on.filter(({status}) => status.healthy);
  return [['Experts', count(experts.length)], ['Healthy', `${well.length} of ${on.length}`],
    ['In flight', count(sum((e) => e.status.inflight))], ['Queued', count(sum((e) => e.status.queued))],
    ['Calls', count(sum((e) => callsOf(e.status).all))], ['Spent', usd(sum((e) => e.status.cost_microusd) / 1e6)]];
}

function poolRows(pools) {
  return pools.map(({name, document, origin}) => h('tr', {}, h('th', {scope: 'row'}, `skillyard/${name}`),
    h('td', {}, document.experts?.length ? document.experts.join(', ') : 'every expert'), h('td', {}, document.default || 'the first'),
    h('td', {class: 'number'}, `${Math.round(100 * (document.explore ?? 0))}%`), h('td', {}, origin)));
}

export async function showPool(stage, ready) {
  const rows = new Map();
  const body = h('tbody', {});
  const tiles = h('dl', {class: 'tiles'});
  const filter = h('input', {id: 'filter', type: 'search', placeholder: 'part of a name', oninput: () => paint()});
  const columns = [['Expert'], ['State'], ['In flight', 1], ['Queued', 1], ['Calls', 1], ['Failed', 1], ['First byte', 1], ['Whole reply', 1], ['Spent', 1], ['', 1]];
  const sheet = table('Experts', columns, []);
  sheet.querySelector('tbody').replaceWith(body);
  let experts = [];

  function paint() {
    for (const expert of experts) {
      if (!rows.has(expert.name)) rows.set(expert.name, new Row(expert, refresh));
      rows.get(expert.name).update(expert);
    }
    const names = experts.map(({name}) => name).filter((name) => name.includes(filter.value));
    const shown = names.map((name) => rows.get(name).row);
    if (shown.length !== body.children.length || shown.some((row, i) => body.children[i] !== row)) body.replaceChildren(...shown);
    tiles.replaceChildren(...tilesOf(experts).map(([name, value]) => h('div', {class: 'tile'}, h('dt', {}, name), h('dd', {}, value))));
  }

  async function refresh() {
    experts = await everyExpert(stage);
    paint();
  }

  experts = await everyExpert(stage);
  const pools = (await stage.ask('/admin/pools?limit=500')).data;
  stage.root.replaceChildren(...title('Pool', 'Who can be asked, how well they are, and how busy. Calls and spend count from the start of the service.'), tiles,
    h('section', {class: 'sheet'},
      h('div', {class: 'tools'}, h('div', {class: 'grow'}, h('label', {for: 'filter'}, 'Show experts named'), filter)),
      experts.length ? sheet : empty('No expert yet: add one with `skillyard expert add NAME=URL`.')),
    h('section', {class: 'sheet'}, h('h2', {}, 'Pools'), pools.length
      ? table('Pools', [['Asked for as'], ['Experts'], ['Default'], ['Explores', 1], ['From']], poolRows(pools))
      : empty('Only skillyard/auto, with every expert.')));
  paint();
  ready();
  await stage.every(kSeconds, refresh);
}
