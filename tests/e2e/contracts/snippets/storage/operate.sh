# Check storage stats
curl http://localhost:8000/storage/stats

# Trigger manual cleanup
curl -X POST http://localhost:8000/admin/cleanup

# Check health
curl http://localhost:8000/health
