// The console's frame: which view is shown, what it polls, who is signed in.
import {ask, h, key, say} from './page.js';
import {showPool} from './pool.js';
import {showDecisions} from './decisions.js';
import {showFrontier, showSkills} from './policy.js';
import {showBatches, showChanges, showEvaluations, showKeys} from './records.js';

const views = [
  ['pool', 'Pool', showPool],
  ['decisions', 'Decisions', showDecisions],
  ['skills', 'Skills', showSkills],
  ['frontier', 'Frontier', showFrontier],
  ['evaluations', 'Evaluations', showEvaluations],
  ['batches', 'Batches', showBatches],
  ['changes', 'Changes', showChanges],
  ['keys', 'Keys', showKeys],
];

const content = document.getElementById('content');
let leave = new AbortController();

/** What a view may use; ends with it. */
function stage(signal) {
  return {
    signal,
    root: content,
    ask: (path, options) => ask(path, {...options, signal}),
    /** Calls `work` now and every `seconds` while the page is looked at. */
    async every(seconds, work) {
      while (!signal.aborted) {
        if (!document.hidden) await work().catch((error) => error.name !== 'AbortError' && say(error.message));
        await new Promise((done) => setTimeout(done, seconds * 1000));
      }
    },
  };
}

async function show(focus) {
  leave.abort();
  leave = new AbortController();
  const signal = leave.signal;
  const name = location.hash.slice(1);
  const [, label, view] = views.find(([id]) => id === name) ?? views[0];
  for (const link of document.querySelectorAll('#views a')) {
    if (link.textContent === label) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${label} – Skillyard console`;
  content.replaceChildren(h('p', {class: 'empty'}, 'Loading …'));
  try {
    await view(stage(signal), () => focus && content.querySelector('h1')?.focus());
  } catch (error) {
    if (error.name === 'AbortError') return;
    content.replaceChildren(h('h1', {}, label), h('p', {class: 'state bad'}, error.message),
      h('p', {}, h('button', {type: 'button', onclick: () => show(false)}, 'Try again')));
    say(error.message);
  }
}

async function showFacts() {
  const {running} = await ask('/admin/policies');
  document.getElementById('facts').textContent = /^0+$/.test(running) ? 'no policy' : `policy ${running.slice(0, 8)}`;
}

document.getElementById('views').append(...views.map(([id, label]) => h('a', {href: `#${id}`}, label)));
document.getElementById('sign-out').hidden = !key.get();
document.getElementById('sign-out').addEventListener('click', () => {
  key.forget();
  location.reload();
});
addEventListener('hashchange', () => show(true));
show(false);
showFacts().catch((error) => say(error.message));
