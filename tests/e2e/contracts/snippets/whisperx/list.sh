# Get all active jobs
curl http://localhost:3333/v1/jobs
