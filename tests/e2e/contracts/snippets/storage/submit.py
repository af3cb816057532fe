import requests

# Upload file
with open('audio.wav', 'rb') as f:
    files = {'file': f}
    response = requests.post(
        'http://localhost:8000/api/jobs',
        files=files
    )
    job_id = response.json()['id']
