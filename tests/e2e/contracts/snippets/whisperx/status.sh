curl "http://localhost:3333/v1/jobs/{job_id}?include_result=false"
