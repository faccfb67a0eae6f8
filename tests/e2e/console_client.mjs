// Uses the administrators' page as a person would, in a real browser; exit 1 with what was wrong.
import {strict as assert} from 'node:assert';
import {chromium} from 'playwright-core';

const plan = JSON.parse(process.argv[2]);
const context = await chromium.launchPersistentContext(plan.profile, {
  executablePath: plan.chromium,
  headless: true,
  viewport: {width: 1320, height: 860},
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const page = context.pages()[0] ?? await context.newPage();
page.setDefaultTimeout(15000);

const outside = [], complaints = [];
page.on('request', (request) => { if (!request.url().startsWith(plan.base) && !/^(data|blob):/.test(request.url())) outside.push(request.url()); });
page.on('pageerror', (error) => complaints.push(`${error}`));
page.on('console', (message) => { if (message.type() === 'error' && !/401/.test(message.text())) complaints.push(message.text()); });

async function shot(name) {
  if (!plan.shots) return;
  for (const scheme of ['light', 'dark']) {
    for (const [size, width, height] of [['wide', 1320, 860], ['narrow', 420, 860]]) {
      await page.emulateMedia({colorScheme: scheme});
      await page.setViewportSize({width, height});
      await page.waitForTimeout(150);
      await page.screenshot({path: `${plan.shots}/${name}-${scheme}-${size}.png`, fullPage: true});
    }
  }
  await page.emulateMedia({colorScheme: 'light'});
  await page.setViewportSize({width: 1320, height: 860});
}

const heading = (name) => page.getByRole('heading', {level: 1, name, exact: true});

async function open(name) {
  await page.getByRole('navigation', {name: 'Views'}).getByRole('link', {name, exact: true}).click();
  await heading(name).waitFor();
}

async function confirm(button) {
  const dialog = page.locator('dialog#ask[open]');
  await dialog.waitFor();
  await dialog.getByRole('button', {name: button, exact: true}).click();
  await dialog.waitFor({state: 'hidden'});
}

const stories = {
  async 'the page asks for a key, a wrong one is told, a right one opens it'() {
    const response = await page.goto(`${plan.base}/console`);
    assert.match(response.headers()['content-security-policy'], /default-src 'none'/);
    const dialog = page.locator('dialog#sign-in[open]');
    await dialog.waitFor();
    await shot('sign-in');
    await page.getByLabel('Key', {exact: true}).fill('sk-sky-wrong');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.getElementById('key').value === '' && document.querySelector('dialog#sign-in[open]'));
    await page.getByLabel('Key', {exact: true}).fill(plan.key);
    await page.keyboard.press('Enter');
    await heading('Pool').waitFor();
    const kept = await page.evaluate(() => [localStorage.length, document.cookie, sessionStorage.length]);
    assert.deepEqual(kept, [0, '', 1], 'the key stays in this tab');
  },

  async 'the pool is shown, an expert is disabled and enabled'() {
    const row = page.getByRole('row', {name: /^alma/});
    await row.getByText('healthy').waitFor();
    await shot('pool');
    await page.getByRole('button', {name: 'Disable alma'}).click();
    await shot('confirm');
    await confirm('Disable');
    await row.getByText('disabled', {exact: true}).waitFor();
    await page.getByRole('button', {name: 'Enable alma'}).click();
    await confirm('Enable');
    await row.getByText('healthy').waitFor();
    await page.getByLabel('Show experts named').fill('bert');
    assert.equal(await page.getByRole('button', {name: /^Disable/}).count(), 1);
  },

  async 'a decision is explained'() {
    await open('Decisions');
    await page.getByRole('button', {name: /^Explain the decision/}).first().click();
    const panel = page.getByRole('region', {name: 'Explanation'});
    await panel.getByRole('heading', {name: 'Candidates'}).waitFor();
    await panel.getByRole('heading', {name: 'What would have changed it'}).waitFor();
    assert.ok(await panel.getByRole('listitem').count() > 1, 'sentences');
    assert.equal(await panel.getByRole('row').filter({hasText: 'dora'}).count() > 0, true);
    await shot('decision');
    await page.keyboard.press('Escape');
    await panel.waitFor({state: 'hidden'});
    assert.match(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), /^Explain/);
  },

  async 'the heat map is read with the keyboard'() {
    await open('Skills');
    const cells = page.locator('table.heat td[aria-label]');
    assert.equal(await cells.count(), 16);
    await cells.first().focus();
    const first = await page.locator('.reading').textContent();
    await page.keyboard.press('ArrowRight');
    const second = await page.locator('.reading').textContent();
    assert.match(first, /95% between \d/);
    assert.notEqual(first, second);
    await page.getByLabel('Best first for').selectOption({label: 'botany'});
    assert.match(await page.locator('table.heat tbody th').first().textContent(), /bert/);
    await shot('skills');
  },

  async 'the slider says what a budget buys'() {
    await open('Frontier');
    const slider = page.getByRole('slider', {name: 'Budget'});
    const dear = await page.locator('.reading').textContent();
    assert.match(dear, /the best single expert/);
    await slider.focus();
    await page.keyboard.press('Home');
    const cheap = await page.locator('.reading').textContent();
    assert.notEqual(dear, cheap);
    assert.match(cheap, /from 1 expert for/);
    await page.keyboard.press('End');
    assert.match(await slider.getAttribute('aria-valuetext'), /right$/);
    await shot('frontier');
  },

  async 'an evaluation is read'() {
    await open('Evaluations');
    await page.getByRole('row', {name: /done/}).getByRole('button').click();
    const panel = page.getByRole('region', {name: 'Report'});
    await panel.getByRole('row', {name: /^best single/}).waitFor();
    await shot('evaluation');
    await panel.getByRole('button', {name: 'Close'}).click();
  },

  async 'a batch is listed with how far it is'() {
    await open('Batches');
    const row = page.getByRole('row', {name: /completed/});
    await row.getByText('100%, 1 of 2, 1 failed').waitFor();
    assert.equal(await row.getByRole('button').count(), 0, 'what has ended cannot be cancelled');
    await shot('batches');
  },

  async 'a change is looked at and taken back after its diff was shown'() {
    await open('Changes');
    await page.getByRole('button', {name: 'version 2', exact: true}).click();
    const panel = page.getByRole('region', {name: 'Change'});
    await panel.getByText('/concurrency_max = 8').waitFor();
    await shot('change');
    await panel.getByRole('button', {name: 'Close'}).click();
    await page.getByRole('button', {name: 'Go back to version 1', exact: true}).click();
    await page.locator('dialog#ask[open]').getByText('/concurrency_max').waitFor();
    await shot('rollback');
    await confirm('Go back');
    await page.getByRole('cell', {name: 'rollback to 1'}).waitFor();
  },

  async 'keys are listed, and a name is text, whatever it holds'() {
    await open('Keys');
    await page.getByText('<b>ops</b>').waitFor();
    await shot('keys');
    assert.ok(!(await page.content()).includes(plan.key), 'the key is on the page');
  },

  async 'every view is reached with the keyboard, and each has a name and one main heading'() {
    for (const link of await page.getByRole('navigation', {name: 'Views'}).getByRole('link').all()) {
      await link.focus();
      await page.keyboard.press('Enter');
      await heading(await link.textContent()).waitFor();
      assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1');
      assert.match(await page.title(), /Skillyard console/);
    }
    const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, a')]
      .filter((one) => !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length)).map((one) => one.outerHTML));
    assert.deepEqual(nameless, []);
  },

  async 'nothing came from elsewhere and nothing was complained about'() {
    assert.deepEqual(outside, []);
    assert.deepEqual(complaints, []);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `the page is ${wide} px too wide`);
  },

  async 'a forgotten key is asked for again'() {
    await page.getByRole('button', {name: 'Forget the key'}).click();
    await page.locator('dialog#sign-in[open]').waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  },
};

let failed = 0;
for (const [name, story] of Object.entries(stories)) {
  try {
    await story();
    console.log(`ok: ${name}`);
  } catch (error) {
    failed = 1;
    console.log(`FAILED: ${name}\n${error.stack}\n${complaints.join('\n')}`);
    if (plan.shots) await page.screenshot({path: `${plan.shots}/failed.png`});
  }
}
await context.close();
process.exit(failed);
