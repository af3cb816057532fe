curl -X POST "http://localhost:8000/process" \
  -F "file=@large_video.mp4" \
  -G -d "language=en" \
  -d "webhook_url=https://myapp.com/webhook"
