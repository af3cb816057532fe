curl http://localhost:8000/queue/stats
