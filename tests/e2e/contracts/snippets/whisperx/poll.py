import requests
import time

# 1. Submit job
response = requests.post(
    'http://localhost:3333/v1/audio/transcriptions',
    files={'file': open('audio.mp3', 'rb')},
    data={
        'enable_diarization': 'true',
        'stored_output': 'true'  # Enable async mode
    }
)
job_id = response.json()['job_id']

# 2. Poll for completion
while True:
    status = requests.get(
        f'http://localhost:3333/v1/jobs/{job_id}?include_result=false'
    ).json()
    
    if status['status'] == 'completed':
        break
    elif status['status'] == 'failed':
        raise Exception(status.get('error'))
    
    time.sleep(2)

# 3. Get full results
result = requests.get(
    f'http://localhost:3333/v1/jobs/{job_id}?include_result=true'
).json()

print(result['result']['result']['text'])
