curl -X POST http://localhost:8000/transcribe/async \
  -F "file=@call_recording.wav" \
  -F "enable_diarization=true" \
  -F "language=en"
