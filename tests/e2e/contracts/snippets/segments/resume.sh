curl -X POST "http://localhost:8000/jobs/resume"
