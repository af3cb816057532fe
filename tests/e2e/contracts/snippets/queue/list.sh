curl "http://localhost:8000/jobs?status=completed&limit=10"
