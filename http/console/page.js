// What every view uses: elements, the service, words for numbers, dialogs.

/** h('td', {class: 'number'}, 'text', child): text is never read as HTML. */
export function h(tag, attributes, ...children) {
  const svg = ['svg', 'path', 'line', 'circle', 'text', 'g', 'title'].includes(tag);
  const element = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name.startsWith('--')) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const kKey = 'skillyard-key';

export const key = {
  get: () => sessionStorage.getItem(kKey),
  set: (value) => sessionStorage.setItem(kKey, value),
  forget: () => sessionStorage.removeItem(kKey),
};

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** One request of the documented interface; asks for a key where one is missing or no longer good. */
export async function ask(path, {method = 'GET', body, signal} = {}) {
  for (;;) {
    const headers = {};
    const used = key.get();
    if (used) headers.authorization = `Bearer ${used}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    let response;
    try {
      response = await fetch(path, {method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal, cache: 'no-store'});
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Refused(0, 'The service does not answer.');
    }
    const text = await response.text();
    const json = (response.headers.get('content-type') ?? '').includes('json') && text ? JSON.parse(text) : null;
    if (response.ok) return json;
    const message = json?.error?.message ?? `HTTP ${response.status}`;
    if (response.status !== 401 && response.status !== 403) throw new Refused(response.status, message);
    if (used === key.get()) await askForKey(message);
  }
}

let asking = null;

function askForKey(why) {
  asking ??= new Promise((done) => {
    const dialog = document.getElementById('sign-in');
    const field = document.getElementById('key');
    document.getElementById('sign-in-why').textContent = why;
    field.value = '';
    dialog.oncancel = (event) => event.preventDefault();
    dialog.onclose = () => {
      asking = null;
      key.set(field.value.trim());
      field.value = '';
      document.getElementById('sign-out').hidden = false;
      done();
    };
    dialog.showModal();
  });
  return asking;
}

/** A question before something is changed; true: yes. */
export function confirmed(title, body, yes) {
  const dialog = document.getElementById('ask');
  document.getElementById('ask-title').textContent = title;
  document.getElementById('ask-body').replaceChildren(...[body].flat());
  const button = document.getElementById('ask-yes');
  button.textContent = yes ?? '';
  button.hidden = !yes;
  document.getElementById('ask-no').textContent = yes ? 'Cancel' : 'Close';
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((done) => { dialog.onclose = () => done(dialog.returnValue === 'yes'); });
}

let quiet = 0;

/** Tells people, those who listen to the page, too. */
export function say(text) {
  const place = document.getElementById('said');
  place.textContent = text;
  clearTimeout(quiet);
  quiet = setTimeout(() => { place.textContent = ''; }, 8000);
}

export const percent = (part, digits = 0) => `${(100 * part).toFixed(digits)}%`;
export const count = (number) => Number(number ?? 0).toLocaleString('en');

export function usd(amount) {
  if (amount === null || amount === undefined) return '';
  if (amount === 0) return '$0';
  return amount >= 0.01 ? `$${amount.toFixed(2)}` : `$${Number(amount.toPrecision(2))}`;
}

export function duration(us) {
  if (!us) return '';
  if (us < 1000) return `${us} µs`;
  if (us < 1e6) return `${Number((us / 1000).toPrecision(3))} ms`;
  return `${Number((us / 1e6).toPrecision(3))} s`;
}

export function when(us) {
  if (!us) return '';
  const date = new Date(us / 1000);
  const today = date.toDateString() === new Date().toDateString();
  const text = today ? date.toLocaleTimeString() : date.toLocaleString();
  return h('time', {datetime: date.toISOString(), title: date.toLocaleString()}, text);
}

/** Columns: [heading, right-aligned?]; `label` is for those who cannot see what is around it. */
export function table(label, columns, rows) {
  const head = columns.map(([name, number]) => h('th', {scope: 'col', class: number ? 'number' : undefined}, name));
  return h('div', {class: 'scroll'}, h('table', {'aria-label': label}, h('thead', {}, h('tr', {}, head)), h('tbody', {}, rows)));
}

/** What is said of one row, beside the list that it stands in. */
export class Drawer {
  constructor(label) {
    this.inside = h('div', {});
    this.element = h('section', {class: 'drawer', 'aria-label': label, hidden: true, onkeydown: (event) => event.key === 'Escape' && this.close()},
      h('button', {type: 'button', onclick: () => this.close()}, 'Close'), this.inside);
  }

  show(heading, ...children) {
    if (this.element.hidden) this.opener = document.activeElement;
    this.inside.replaceChildren(h('h2', {tabindex: -1}, heading), ...children.flat(2).filter(Boolean));
    this.element.hidden = false;
    this.element.scrollTop = 0;
    this.inside.querySelector('h2').focus();
  }

  close() {
    this.element.hidden = true;
    this.opener?.focus();
  }
}

export function facts(pairs) {
  return h('dl', {class: 'facts-list'}, pairs.filter(([, value]) => value !== '' && value !== null && value !== undefined)
    .map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
}

export const title = (text, lead) => [h('h1', {tabindex: -1}, text), h('p', {class: 'lead'}, lead)];
export const empty = (text) => h('p', {class: 'empty'}, text);
export const reason = (word) => (word ?? '').replaceAll('_', ' ');

/** The operations of a JSON patch (RFC 6902), a line each. */
export function patchLines(operations) {
  const value = (operation) => (operation.value === undefined ? '' : ` = ${JSON.stringify(operation.value)}`);
  const signs = {add: '+', remove: '−', replace: '±'};
  return operations.map((operation) => h('span', {class: operation.op},
    `${signs[operation.op] ?? operation.op} ${operation.path || '(all of it)'}${value(operation)}`));
}
