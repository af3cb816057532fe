// OpenAI's client for Node where it is refused: prints a line of JSON for each call, with what the client raises.
import fs from 'node:fs';
import OpenAI from 'openai';

const [url, phase, small, large, key, reader, other] = process.argv.slice(2);
const client = (apiKey, maxRetries = 0) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries });
const hear = (apiKey, more = {}) =>
  client(apiKey).audio.transcriptions.create({ file: fs.createReadStream(small), model: 'whisper-1', ...more });

async function raised(name, attempt) {
  try {
    console.log(JSON.stringify([name, await attempt()]));
  } catch (error) {
    console.log(JSON.stringify([name, [error.constructor.name, error.status, error.code, error.param]]));
  }
}

if (phase === 'first') {
  await raised('400', () => hear(key, { language: 'klingon' }));
  await raised('401', () => hear('sk-wrong'));
  await raised('403', () => hear(reader));
  await raised('404', () => hear(key, { model: 'whisper-9' }));
  await raised('413', () => hear(key, { file: fs.createReadStream(large) }));
  await raised('504', () => hear(key, { response_format: 'text' }));
  await raised('streamed', async () => {
    for await (const event of await hear(key, { stream: true })) console.error(event);
  });
  await raised('429', () => hear(key));
} else {
  await raised('rate', async () => {
    for (;;) await client(key).models.list();
  });
  await raised('again', async () => (await client(key, 2).models.list()).data.length);
  await raised('503', () => hear(other));
}
