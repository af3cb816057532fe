curl "http://localhost:8000/jobs?limit=50"
