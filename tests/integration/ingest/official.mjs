// OpenAI's client for Node, used as its documentation does: prints a line of JSON for each call.
import fs from 'node:fs';
import OpenAI, { toFile } from 'openai';

const [url, path, hasty] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-anything', maxRetries: 0 });
const tell = (name, value) => console.log(JSON.stringify([name, value]));
const file = () => fs.createReadStream(path);

if (hasty) {
  try {
    await client.audio.transcriptions.create({ file: file(), model: 'whisper-1' }, { timeout: 500 });
  } catch (error) {
    tell('timeout', error.constructor.name);
  }
  process.exit();
}

for (const response_format of ['json', 'text', 'srt', 'vtt', 'verbose_json', 'diarized_json']) {
  tell(response_format, await client.audio.transcriptions.create({ file: file(), model: 'whisper-1', response_format }));
}
tell('words', await client.audio.transcriptions.create({
  file: await toFile(fs.readFileSync(path), 'talk.wav'),
  model: 'whisper-1',
  response_format: 'verbose_json',
  timestamp_granularities: ['word'],
  chunking_strategy: { type: 'server_vad', threshold: 0.4 },
}));
tell('translation', await client.audio.translations.create({ file: file(), model: 'whisper-1' }));

const events = [];
const stream = await client.audio.transcriptions.create({ file: file(), model: 'gpt-4o-transcribe', stream: true });
for await (const event of stream) events.push(event);
tell('stream', events);

const raw = await client.audio.transcriptions.create({ file: file(), model: 'whisper-1' }).asResponse();
tell('raw', [raw.status, raw.headers.has('verbatim-job-id')]);

const models = [];
for await (const model of client.models.list()) models.push(model.id);
tell('models', models);

for (const wrong of [{ model: 'whisper-9' }, { model: 'whisper-1', language: 'klingon' }]) {
  try {
    await client.audio.transcriptions.create({ file: file(), ...wrong });
  } catch (error) {
    tell('error', [error.constructor.name, error.status, error.code, error.param]);
  }
}
