const FormData = require('form-data');
const axios = require('axios');
const fs = require('fs');

async function transcribeAsync() {
  // Submit job
  const form = new FormData();
  form.append('file', fs.createReadStream('call.wav'));
  form.append('enable_diarization', 'true');
  form.append('language', 'en');

  const response = await axios.post('http://localhost:8000/transcribe/async', form);
  const jobId = response.data.job_id;
  console.log(`Job created: ${jobId}`);

  // Poll for completion
  while (true) {
    const statusResponse = await axios.get(`http://localhost:8000/jobs/${jobId}`);
    const job = statusResponse.data;

    console.log(`Status: ${job.status} | Progress: ${job.progress}%`);

    if (job.status === 'completed') {
      console.log('Transcription:', job.result.text);
      break;
    } else if (job.status === 'failed') {
      console.error('Error:', job.error);
      break;
    }

    await new Promise(resolve => setTimeout(resolve, 5000)); // Poll every 5 seconds
  }
}

transcribeAsync();
