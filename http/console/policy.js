// The running policy: who is good at what, and what a budget buys.
import {count, empty, h, percent, table, title, usd} from './page.js';

const kStrong = 0.78;  // of the colour scale: from here on white text reads better
const kChart = {large: {width: 860, height: 360}, small: {width: 400, height: 300}, left: 48, right: 20, top: 16, bottom: 44};
const kSteps = 200;     // of the slider
const kQueries = 1000;  // prices are told for so many

/** The scale of colours runs over what is there, so that small differences can be seen. */
function scaleOf(profiles) {
  const all = profiles.rates.flat();
  const low = Math.min(...all), high = Math.max(...all);
  return {low, high, part: (rate) => (high > low ? (rate - low) / (high - low) : 0.5)};
}

function wordsOf(profiles, s, e) {
  const [from, to] = profiles.intervals[s][e];
  return `${profiles.experts[e].name} on ${profiles.skills[s]}: ${percent(profiles.rates[s][e], 1)} right, `
    + `95% between ${percent(from, 1)} and ${percent(to, 1)}, from ${count(Math.round(profiles.outcomes[s][e]))} outcomes`;
}

function cell(profiles, scale, best, reading, s, e) {
  const rate = profiles.rates[s][e];
  const [from, to] = profiles.intervals[s][e];
  const words = wordsOf(profiles, s, e);
  const tell = () => { reading.textContent = words; };
  const kind = `${scale.part(rate) > kStrong ? 'strong' : ''} ${best[s] === e ? 'best' : ''}`;
  return h('td', {class: kind, '--part': `${Math.round(100 * scale.part(rate))}%`, tabindex: -1, 'aria-label': words, onmouseenter: tell, onfocus: tell},
    Math.round(100 * rate), h('small', {}, `±${Math.round(50 * (to - from))}`));
}

/** Arrow keys move within the map; one of its cells is in the tab order. */
function withArrows(body) {
  const at = (row, column) => body.rows[row]?.querySelectorAll('td')[column];
  at(0, 0)?.setAttribute('tabindex', 0);
  body.addEventListener('keydown', (event) => {
    const step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    const here = event.target.closest('td');
    if (!step || !here) return;
    const next = at(here.parentNode.sectionRowIndex + step[0], here.cellIndex - 1 + step[1]);
    if (!next) return;
    event.preventDefault();
    here.setAttribute('tabindex', -1);
    next.setAttribute('tabindex', 0);
    next.focus();
  });
}

export async function showSkills(stage, ready) {
  const profiles = await stage.ask('/admin/profiles');
  const scale = scaleOf(profiles);
  const indices = profiles.experts.map((_, e) => e);
  const best = profiles.skills.map((_, s) => indices.reduce((a, b) => (profiles.rates[s][b] > profiles.rates[s][a] ? b : a)));
  const reading = h('p', {class: 'reading soft', 'aria-live': 'polite'}, 'Point at a cell, or move through them with the arrow keys.');
  const body = h('tbody', {});
  const order = h('select', {id: 'order', onchange: () => paint()}, h('option', {value: -1}, 'all skills'),
    profiles.skills.map((name, s) => h('option', {value: s}, name)));

  function paint() {
    const s = Number(order.value);
    const merit = (e) => (s < 0 ? profiles.experts[e].mean : profiles.rates[s][e]);
    const sorted = [...indices].sort((a, b) => merit(b) - merit(a));
    body.replaceChildren(...sorted.map((e) => h('tr', {},
      h('th', {scope: 'row', class: profiles.experts[e].in_pool ? '' : 'soft'}, profiles.experts[e].name, profiles.experts[e].in_pool ? '' : ' (not in the pool)'),
      profiles.skills.map((_, column) => cell(profiles, scale, best, reading, column, e)))));
    body.rows[0]?.querySelector('td')?.setAttribute('tabindex', 0);
  }

  const head = h('thead', {}, h('tr', {}, h('td', {}), profiles.skills.map((name) => h('th', {scope: 'col', title: name}, h('div', {}, name)))));
  const lead = profiles.declared
    ? 'No policy was learned: these are the rates that declared skills stand for.'
    : 'How often each expert is right on each skill, shrunken towards its mean where outcomes are few, with half of the 95% interval.';
  stage.root.replaceChildren(...title('Skills', lead), h('section', {class: 'sheet'},
    h('div', {class: 'tools'}, h('div', {class: 'grow'}, h('label', {for: 'order'}, 'Best first for'), order),
      h('p', {class: 'legend'}, percent(scale.low), h('span', {class: 'ramp', role: 'presentation'}), percent(scale.high), h('span', {}, 'framed: best on the skill'))),
    reading, h('div', {class: 'scroll'}, h('table', {class: 'heat'}, head, body))));
  paint();
  withArrows(body);
  ready();
}

/** Prices are drawn on a logarithmic scale where they spread over more than one order of magnitude. */
function axisOf(points, size) {
  const spends = points.map(({spend}) => spend).filter((spend) => spend > 0);
  const low = Math.min(...spends), high = Math.max(...spends);
  const log = high / low > 12;
  const scale = (spend) => (log ? Math.log(Math.max(spend, low)) : spend);
  const from = log ? scale(low) : 0, to = scale(high);
  const wide = size.width - kChart.left - kChart.right;
  return {
    x: (spend) => kChart.left + wide * (to > from ? (scale(spend) - from) / (to - from) : 0.5),
    spendAt: (part) => (log ? Math.exp(from + part * (to - from)) : from + part * (to - from)),
    steps: log ? decades(low, high) : [0.2, 0.4, 0.6, 0.8, 1].map((part) => part * high),
  };
}

function decades(low, high) {
  const ticks = [];
  for (let decade = 10 ** Math.floor(Math.log10(low)); decade <= high; decade *= 10)
    for (const step of [1, 3]) if (decade * step >= low && decade * step <= high) ticks.push(decade * step);
  return ticks;
}

function heightOf(points, size) {
  const values = points.map(({value}) => value);
  const low = Math.floor(10 * Math.min(...values)) / 10, high = Math.ceil(10 * Math.max(...values)) / 10;
  const tall = size.height - kChart.top - kChart.bottom;
  const tenths = Math.round(10 * (high - low));
  return {y: (value) => kChart.top + tall * (high > low ? (high - value) / (high - low) : 0.5),
    steps: Array.from({length: tenths + 1}, (_, i) => low + i / 10)};
}

/** The best map for each price as a line, single experts as rings, and what the budget buys as a dot. */
function chartOf(frontier, size) {
  const all = [...frontier.points, ...frontier.experts];
  const {x, steps: prices, spendAt} = axisOf(all, size);
  const {y, steps: values} = heightOf(all, size);
  const right = size.width - kChart.right, bottom = size.height - kChart.bottom;
  const path = frontier.points.map((point, i) => (i === 0 ? `M${x(point.spend)} ${y(point.value)}` : `H${x(point.spend)}V${y(point.value)}`)).join('');
  const cut = h('line', {class: 'cut', y1: kChart.top, y2: bottom});
  const now = h('circle', {class: 'now', r: 7});
  const name = h('text', {class: 'name'});
  const tell = (expert) => {
    const late = x(expert.spend) > size.width / 2;
    name.setAttribute('x', x(expert.spend) + (late ? -9 : 9));
    name.setAttribute('y', y(expert.value) - 10);
    name.setAttribute('text-anchor', late ? 'end' : 'start');
    name.textContent = expert.name;
  };
  const svg = h('svg', {class: 'chart', viewBox: `0 0 ${size.width} ${size.height}`, role: 'img',
    'aria-label': 'Expected share of right answers against price. The slider reads it, and the tables below say the same.'},
  values.map((value) => [h('line', {class: 'grid', x1: kChart.left, x2: right, y1: y(value), y2: y(value)}),
    h('text', {x: kChart.left - 8, y: y(value) + 4, 'text-anchor': 'end'}, percent(value))]),
  prices.map((price) => h('text', {x: x(price), y: bottom + 20, 'text-anchor': 'middle'}, usd(price * kQueries))),
  h('text', {x: (kChart.left + right) / 2, y: size.height - 4, 'text-anchor': 'middle'}, `price of ${count(kQueries)} queries`),
  h('path', {class: 'line', d: `${path}H${right}`}),
  frontier.experts.map((expert) => h('circle', {class: 'single', r: 5, cx: x(expert.spend), cy: y(expert.value), onmouseenter: () => tell(expert)},
    h('title', {}, `${expert.name} alone: ${percent(expert.value, 1)} for ${usd(expert.spend * kQueries)}`))),
  cut, now, name);
  return {svg, spendAt, mark(budget, point) {
    for (const end of ['x1', 'x2']) cut.setAttribute(end, x(budget));
    now.setAttribute('cx', x(point.spend));
    now.setAttribute('cy', y(point.value));
  }};
}

const servedRows = (frontier, point) => Object.entries(point.map).map(([skill, expert]) =>
  h('tr', {}, h('th', {scope: 'row'}, skill), h('td', {class: 'number'}, percent(frontier.traffic[skill], 1)), h('td', {}, expert)));

const singleRows = (experts) => [...experts].sort((a, b) => b.value - a.value).map((one) =>
  h('tr', {}, h('th', {scope: 'row'}, one.name), h('td', {class: 'number'}, percent(one.value, 1)), h('td', {class: 'number'}, usd(one.spend * kQueries))));

export async function showFrontier(stage, ready) {
  const lead = 'What a budget buys: for each price the best choice of who serves which skill, by the running policy\'s rates and costs.';
  let frontier;
  try {
    frontier = await stage.ask('/admin/frontier');
  } catch (error) {
    if (error.status !== 422) throw error;
    stage.root.replaceChildren(...title('Frontier', lead), h('section', {class: 'sheet'}, empty(error.message)));
    return ready();
  }
  const {points, experts} = frontier;
  const size = stage.root.clientWidth < 700 ? kChart.small : kChart.large;
  const chart = chartOf(frontier, size);
  const told = h('p', {class: 'reading', 'aria-live': 'polite'});
  const who = h('div', {});
  const single = experts.reduce((a, b) => (b.value > a.value ? b : a));
  const slider = h('input', {id: 'budget', type: 'range', min: 0, max: kSteps, value: kSteps, oninput: () => paint()});

  function paint() {
    const budget = Math.max(points[0].spend, chart.spendAt(slider.value / kSteps));
    const point = points.findLast(({spend}) => spend <= budget * (1 + 1e-9));
    const gain = 100 * (point.value - single.value);
    const compared = Math.abs(gain) < 0.05 ? 'as many as' : `${Math.abs(gain).toFixed(1)} points ${gain < 0 ? 'below' : 'above'}`;
    slider.setAttribute('aria-valuetext', `${usd(budget * kQueries)} per ${count(kQueries)} queries, ${percent(point.value, 1)} right`);
    told.replaceChildren(h('strong', {}, `${usd(budget * kQueries)} per ${count(kQueries)} queries`),
      ` buys ${percent(point.value, 1)} right answers from ${point.residents.length} ${point.residents.length === 1 ? 'expert' : 'experts'} for `
      + `${usd(point.spend * kQueries)}: ${compared} the best single expert, ${single.name}, for ${usd(single.spend * kQueries)}.`);
    who.replaceChildren(table('Who serves what', [['Skill'], ['Share of queries', 1], ['Served by']], servedRows(frontier, point)));
    chart.mark(budget, point);
  }

  stage.root.replaceChildren(...title('Frontier', lead),
    h('section', {class: 'sheet'}, chart.svg,
      h('div', {class: 'budget', '--left': percent(kChart.left / size.width, 2), '--right': percent(kChart.right / size.width, 2)},
        h('label', {for: 'budget'}, 'Budget'), slider),
      told, h('p', {class: 'soft small'}, 'Line: the best map for each price. Rings: single experts, asked for everything.')),
    h('section', {class: 'sheet'}, h('h2', {}, 'Who serves what'), who),
    h('section', {class: 'sheet'}, h('h2', {}, 'Single experts'), table('Single experts', [['Expert'], ['Right', 1], [`Price of ${count(kQueries)} queries`, 1]], singleRows(experts))));
  paint();
  ready();
}
