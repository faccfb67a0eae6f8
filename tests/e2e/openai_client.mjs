// The official OpenAI client against the service: chat, stream, errors, retries, abort in mid-stream.
// Run by openai_test.py: node openai_client.mjs BASE_URL
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.argv[2], apiKey: 'unused', maxRetries: 0, timeout: 20000 });
const messages = [{ role: 'user', content: 'hello' }];

const models = [];
for await (const model of client.models.list()) models.push(model.id);
assert.ok(models.includes('skillyard/auto') && models.includes('echo'), `models: ${models}`);
assert.equal((await client.models.retrieve('echo')).id, 'echo');

const { data: plain, response } = await client.chat.completions.create({ model: 'echo', messages }).withResponse();
assert.equal(plain.choices[0].message.content, 'echo says hello');
assert.equal(plain.model, 'echo');
assert.equal(plain.usage.total_tokens, 7);
assert.match(response.headers.get('x-skillyard-decision'), /^dec_/);

const routed = await client.chat.completions.create({ model: 'skillyard/steady', messages });
assert.equal(routed.model, 'echo');

let text = '', finish = null, chunks = 0, usage = null;
const stream = await client.chat.completions.create({
  model: 'echo', messages, stream: true, stream_options: { include_usage: true } });
for await (const chunk of stream) {
  chunks += 1;
  text += chunk.choices[0]?.delta?.content ?? '';
  finish = chunk.choices[0]?.finish_reason ?? finish;
  usage = chunk.usage ?? usage;
  assert.equal(chunk.model, 'echo');
}
assert.equal(text, 'w0 w1 w2 w3 w4 ');
assert.equal(finish, 'stop');
assert.equal(usage.completion_tokens, 5);

const quiet = await client.chat.completions.create({ model: 'echo', messages, stream: true });
for await (const chunk of quiet) assert.equal(chunk.choices.length, 1, 'a usage chunk that nobody asked for');

await assert.rejects(client.chat.completions.create({ model: 'no-such-model', messages }), (error) => {
  assert.ok(error instanceof OpenAI.NotFoundError, String(error));
  assert.equal(error.code, 'model_not_found');
  return true;
});
await assert.rejects(client.chat.completions.create({ model: 'echo', messages: 'hello' }), OpenAI.BadRequestError);
await assert.rejects(client.chat.completions.create({ model: 'echo', messages, temperature: 9 }), (error) => {
  assert.equal(error.status, 400);
  assert.equal(error.param, 'temperature');
  return true;
});
await assert.rejects(client.chat.completions.create({ model: 'limited', messages }), (error) => {
  assert.equal(error.status, 429);
  assert.ok(Number(error.headers.get ? error.headers.get('retry-after') : error.headers['retry-after']) >= 1);
  return true;
});
await assert.rejects(client.chat.completions.create({ model: 'secret', messages }), (error) => {
  assert.equal(error.status, 502);
  assert.ok(!JSON.stringify(error).includes('sk-planted-secret'), 'the upstream key leaked');
  return true;
});

// Embeddings: the client asks for base64 and decodes it, from an expert that knows it and from one that does not.
for (const model of ['vectors', 'numbers', 'skillyard/auto']) {
  const made = await client.embeddings.create({ model, input: ['four', 'sixsix'] });
  assert.deepEqual(made.data.map((item) => Array.from(item.embedding)), [[4, 0.5], [6, 0.5]], model);
  assert.equal(made.model, model === 'numbers' ? 'numbers' : 'vectors');
  assert.equal(made.usage.total_tokens, 2);
}
const floats = await client.embeddings.create({ model: 'vectors', input: 'four', encoding_format: 'float', dimensions: 2, user: 'ann' });
assert.deepEqual(floats.data[0].embedding, [4, 0.5]);
for (const [body, param] of [[{ model: 'echo', input: 'x' }, null], [{ model: 'vectors', input: '' }, 'input'],
  [{ model: 'skillyard/steady', input: 'x' }, 'model'], [{ model: 'skillyard/auto', input: [1, 2] }, 'input']]) {
  await assert.rejects(client.embeddings.create(body), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError, String(error));
    assert.equal(error.param, param);
    return true;
  });
}
await assert.rejects(client.chat.completions.create({ model: 'vectors', messages }), OpenAI.BadRequestError);

// A 500 of the expert is retried before the first byte: the client sees an answer.
assert.equal((await client.chat.completions.create({ model: 'flaky', messages })).choices[0].message.content, 'flaky says hello');

// A stream that breaks after the first byte is an error, not a short answer.
let got = '';
await assert.rejects(async () => {
  const broken = await client.chat.completions.create({ model: 'cut', messages, stream: true });
  for await (const chunk of broken) got += chunk.choices[0]?.delta?.content ?? '';
}, OpenAI.APIError);
assert.ok(got.startsWith('w0 '), `before the break: ${got}`);

// Abort in mid-stream: the service must let go of the expert (the caller checks that).
const slow = await client.chat.completions.create({ model: 'slow', messages, stream: true });
let seen = 0;
for await (const chunk of slow) {
  seen += chunk.choices.length;
  if (seen === 5) break;  // the client aborts the request
}

const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }];
await client.chat.completions.create({ model: 'echo', messages, tools, tool_choice: 'auto', response_format: { type: 'json_object' }, seed: 7 });

console.log(`ok: ${chunks} chunks`);
process.exit(0);
