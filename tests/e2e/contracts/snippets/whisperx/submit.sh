curl -X POST http://localhost:3333/v1/audio/transcriptions \
  -F "file=@audio.mp3" \
  -F "enable_diarization=true" \
  -F "language=en" \
  -F "stored_output=true"
