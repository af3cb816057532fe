# Submit and get job_id immediately
response = requests.post(
    'http://localhost:8000/transcribe/async',
    files={'audio_file': open('surah.mp3', 'rb')}
)
job_id = response.json()['job_id']

# Check status later
# Download when ready
