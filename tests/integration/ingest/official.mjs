// OpenAI's client for Node, used as its documentation does: prints a line of JSON for each call.
import fs from 'node:fs';
import OpenAI, { toFile } from 'openai';

const [url, path, patience] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-anything', maxRetries: 0 });
const { transcriptions, translations } = client.audio;
const model = 'whisper-1';
const tell = (name, value) => console.log(JSON.stringify([name, value]));
const file = () => fs.createReadStream(path);

if (patience) {
  try {
    await transcriptions.create({ file: file(), model }, { timeout: Number(patience) });
  } catch (error) {
    tell('timeout', error.constructor.name);
  }
  process.exit();
}

for (const response_format of ['json', 'text', 'srt', 'vtt', 'verbose_json', 'diarized_json']) {
  tell(response_format, await transcriptions.create({ file: file(), model, response_format }));
}
for (const timestamp_granularities of [['segment'], ['word'], ['word', 'segment']]) {
  const found = await transcriptions.create({ file: file(), model, response_format: 'verbose_json', timestamp_granularities });
  tell('granularities', ['words' in found, 'segments' in found]);
}
for (const response_format of ['json', 'text', 'srt', 'vtt', 'verbose_json']) {
  tell(`translated ${response_format}`, await translations.create({ file: file(), model, response_format }));
}
const bytes = fs.readFileSync(path);
for (const way of [await toFile(bytes, 'talk.wav'), new File([bytes], 'talk.wav'), await toFile(file(), 'talk.wav')]) {
  const chunking_strategy = { type: 'server_vad', threshold: 0.4, prefix_padding_ms: 300, silence_duration_ms: 500 };
  tell('ways', (await transcriptions.create({ file: way, model: 'gpt-4o-transcribe', chunking_strategy })).text);
}

for (const response_format of ['json', 'diarized_json']) {
  const events = [];
  for await (const event of await transcriptions.create({ file: file(), model, response_format, stream: true })) events.push(event);
  tell(`streamed ${response_format}`, events);
}

const raw = await transcriptions.create({ file: file(), model }).asResponse();
tell('raw', [raw.status, raw.headers.has('verbatim-job-id'), (await raw.json()).text]);
const { data, response, request_id } = await transcriptions.create({ file: file(), model }).withResponse();
tell('both', [data.text, response.status, request_id.length]);

const models = [];
for await (const each of client.models.list()) models.push(each.id);
tell('models', models);
tell('model', (await client.models.retrieve('whisper-1')).id);
