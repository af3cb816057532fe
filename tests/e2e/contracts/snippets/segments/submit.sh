curl -X POST "http://localhost:8000/transcribe/async" \
  -F "audio_file=@surah_12.mp3"
