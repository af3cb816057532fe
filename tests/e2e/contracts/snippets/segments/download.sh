curl "http://localhost:8000/jobs/a1b2c3d4-e5f6-7890-abcd-ef1234567890/download" \
  --output result.zip
