"""A second of real speech in what people upload most: for damage to be done to."""

from pathlib import Path

from services.transcriber.engine import media
from services.transcriber.engine.media import SAMPLE_RATE
from tests.integration.engine.recorded import encode
from tests.recordings import sample

_KINDS = {"mp3": "libmp3lame", "m4a": "aac", "ogg": "libopus", "mkv": "aac", "flac": "flac", "wav": "pcm_s16le", "mp4": "aac"}


def recordings(folder: Path) -> dict[str, bytes]:
    """By their suffixes; `folder` is where they are made."""
    path = folder / "conversation.wav"
    path.write_bytes(sample())
    sound = media.decode(path).samples[7 * SAMPLE_RATE : 8 * SAMPLE_RATE]
    return {
        suffix: encode(folder / f"a.{suffix}", sound, codec, rate=48_000, video=suffix == "mp4").read_bytes()
        for suffix, codec in _KINDS.items()
    }
