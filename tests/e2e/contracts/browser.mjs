// What a browser's page would have: a file that somebody chose, and a place to go to.

import { openAsBlob } from 'node:fs';

globalThis.audioFile = new File([await openAsBlob('recording.mp3')], 'recording.mp3');
globalThis.window = { location: {} };
process.on('exit', () => console.log(`Went to: ${globalThis.window.location.href}`));
