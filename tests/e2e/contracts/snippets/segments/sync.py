response = requests.post(
    'http://localhost:8000/transcribe',
    files={'audio_file': open('surah.mp3', 'rb')},
    data={'split_audio': 'true'}
)
# Waits for entire processing...
with open('result.zip', 'wb') as f:
    f.write(response.content)
