"""How long a recording probably is, told from its size and type: what the queue counts with until the recording has been decoded.

A wrong estimate costs a wrong ETA, and a worker that takes only short recordings may take a long one. It is replaced by the true duration
as soon as that is known, and documents say which of the two they show.
"""

from common.jobs.job import Source

_KBPS: dict[str, float] = {
    # Uncompressed and lossless: 16-bit stereo at 44.1 kHz, and about 60 % of that.
    "audio/wav": 1_411,
    "audio/aiff": 1_411,
    "audio/x-w64": 1_411,
    "audio/flac": 850,
    "audio/x-ape": 800,
    "audio/x-wavpack": 850,
    # What people's recorders, phones and podcasts use.
    "audio/mpeg": 128,
    "audio/mp4": 96,
    "audio/aac": 96,
    "audio/ogg": 64,
    "audio/webm": 64,
    "audio/ac3": 192,
    "audio/amr": 12.2,
    "audio/basic": 64,
    "audio/x-caf": 256,
}
_AUDIO_KBPS = 128.0
_VIDEO_KBPS = 1_500.0
"""Between a recorded call of slides (300) and a camera's 1080p (5,000)."""


def estimated_seconds(source: Source) -> float:
    """Seconds of audio in a recording of this size, at the usual bit rate of its type."""
    usual = _VIDEO_KBPS if source.kind == "video" else _KBPS.get(source.content_type, _AUDIO_KBPS)
    return source.size * 8 / (usual * 1_000)
