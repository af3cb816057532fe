curl http://localhost:8000/jobs/abc123-def456-789
