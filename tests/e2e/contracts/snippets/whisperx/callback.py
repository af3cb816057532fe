# Customer's workflow:
# 1. Submit job with callback URL
response = requests.post(
    'http://localhost:3333/v1/audio/transcriptions',
    files={'file': open('audio.mp3', 'rb')},
    data={
        'enable_diarization': 'true',
        'stored_output': 'true',  # Enable async mode
        'upload_presigned_url': 'https://my-bucket.s3.amazonaws.com/...'
    }
)
job_id = response.json()['job_id']

# 2. Results will be uploaded to S3 automatically
# 3. BUT customer can also retrieve via API if needed:
result = requests.get(f'http://localhost:3333/v1/jobs/{job_id}?include_result=true').json()
