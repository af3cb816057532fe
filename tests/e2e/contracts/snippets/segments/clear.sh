curl -X DELETE "http://localhost:8000/jobs/finished"
