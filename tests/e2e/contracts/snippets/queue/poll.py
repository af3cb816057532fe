import requests
import time

# Submit job
response = requests.post(
    "http://localhost:8000/transcribe/async",
    files={"file": open("call.wav", "rb")},
    data={"enable_diarization": "true", "language": "en"}
)

job_id = response.json()["job_id"]
print(f"Job created: {job_id}")

# Poll for completion
while True:
    status_response = requests.get(f"http://localhost:8000/jobs/{job_id}")
    job = status_response.json()

    print(f"Status: {job['status']} | Progress: {job['progress']}%")

    if job["status"] == "completed":
        print("Transcription:", job["result"]["text"])
        break
    elif job["status"] == "failed":
        print("Error:", job["error"])
        break

    time.sleep(5)  # Poll every 5 seconds
