import requests
import time

# 1. Submit job
with open('surah_12.mp3', 'rb') as f:
    response = requests.post(
        'http://localhost:8000/transcribe/async',
        files={'audio_file': f}
    )
    job_id = response.json()['job_id']
    print(f"Job submitted: {job_id}")

# 2. Poll for completion
while True:
    status_response = requests.get(
        f'http://localhost:8000/jobs/{job_id}/status'
    )
    status = status_response.json()['status']
    print(f"Status: {status}")
    
    if status == 'completed':
        break
    elif status == 'failed':
        print(f"Error: {status_response.json()['error']}")
        exit(1)
    
    time.sleep(5)  # Check every 5 seconds

# 3. Download result
download_response = requests.get(
    f'http://localhost:8000/jobs/{job_id}/download'
)
with open('result.zip', 'wb') as f:
    f.write(download_response.content)
print("Downloaded result.zip")

# 4. Get metadata
metadata_response = requests.get(
    f'http://localhost:8000/jobs/{job_id}/metadata'
)
metadata = metadata_response.json()
print(f"Surah {metadata['surah_number']}: {metadata['total_ayahs']} ayahs")

# 5. Resume job queue (if server was restarted)
resume_response = requests.post('http://localhost:8000/jobs/resume')
print(f"Jobs reset: {resume_response.json()['jobs_reset']}")

# 6. Clear all finished jobs
clear_response = requests.delete('http://localhost:8000/jobs/finished')
print(f"Jobs deleted: {clear_response.json()['jobs_deleted']}")
