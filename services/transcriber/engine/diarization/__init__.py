"""Who speaks when: pyannote.audio's speaker diarization pipeline, its models, and the ways around what makes it slow.

Nothing outside this package imports pyannote, and nothing in it is imported before the first request that asks for speakers.
"""
