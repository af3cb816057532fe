curl "http://localhost:8000/result/550e8400-e29b-41d4-a716-446655440000"
