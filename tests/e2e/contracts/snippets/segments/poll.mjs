// 1. Submit job
const formData = new FormData();
formData.append('audio_file', audioFile);

const submitResponse = await fetch('http://localhost:8000/transcribe/async', {
  method: 'POST',
  body: formData
});
const { job_id } = await submitResponse.json();
console.log(`Job submitted: ${job_id}`);

// 2. Poll for completion
async function pollStatus(jobId) {
  while (true) {
    const statusResponse = await fetch(
      `http://localhost:8000/jobs/${jobId}/status`
    );
    const status = await statusResponse.json();
    console.log(`Status: ${status.status}`);
    
    if (status.status === 'completed') {
      return status;
    } else if (status.status === 'failed') {
      throw new Error(status.error);
    }
    
    await new Promise(resolve => setTimeout(resolve, 5000));
  }
}

const completedStatus = await pollStatus(job_id);

// 3. Download result
const downloadUrl = `http://localhost:8000/jobs/${job_id}/download`;
window.location.href = downloadUrl;

// 4. Get metadata
const metadataResponse = await fetch(
  `http://localhost:8000/jobs/${job_id}/metadata`
);
const metadata = await metadataResponse.json();
console.log(`Surah ${metadata.surah_number}: ${metadata.total_ayahs} ayahs`);

// 5. Resume job queue (if server was restarted)
const resumeResponse = await fetch('http://localhost:8000/jobs/resume', {
  method: 'POST'
});
const resumeData = await resumeResponse.json();
console.log(`Jobs reset: ${resumeData.jobs_reset}`);

// 6. Clear all finished jobs
const clearResponse = await fetch('http://localhost:8000/jobs/finished', {
  method: 'DELETE'
});
const clearData = await clearResponse.json();
console.log(`Jobs deleted: ${clearData.jobs_deleted}`);
