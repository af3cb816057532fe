"""Media types told from first bytes, on files that ffmpeg's own muxers write."""

import io

import av
import numpy as np
import pytest

from services.ingest.sniffing import HEAD_BYTES, Media, sniff

CONTAINERS = [
    ("wav", "pcm_s16le", "audio/wav", "audio"),
    ("mp3", "libmp3lame", "audio/mpeg", "audio"),
    ("ipod", "aac", "audio/mp4", "audio"),
    ("mp4", "aac", "video/mp4", "video"),
    ("mov", "aac", "video/quicktime", "video"),
    ("3gp", "aac", "video/mp4", "video"),
    ("ogg", "libopus", "audio/ogg", "audio"),
    ("webm", "libopus", "audio/webm", "audio"),
    ("matroska", "aac", "audio/x-matroska", "audio"),
    ("flac", "flac", "audio/flac", "audio"),
    ("adts", "aac", "audio/aac", "audio"),
    ("aiff", "pcm_s16be", "audio/aiff", "audio"),
    ("au", "pcm_s16be", "audio/basic", "audio"),
    ("caf", "pcm_s16be", "audio/x-caf", "audio"),
    ("w64", "pcm_s16le", "audio/x-w64", "audio"),
    ("mpegts", "aac", "video/mp2t", "video"),
    ("avi", "pcm_s16le", "video/x-msvideo", "video"),
    ("flv", "aac", "video/x-flv", "video"),
    ("ac3", "ac3", "audio/ac3", "audio"),
    ("mp2", "mp2", "audio/mpeg", "audio"),
    ("asf", "pcm_s16le", "video/x-ms-asf", "video"),
    ("amr", "libopencore_amrnb", "audio/amr", "audio"),
    ("wv", "wavpack", "audio/x-wavpack", "audio"),
    ("tta", "tta", "audio/x-tta", "audio"),
    ("voc", "pcm_s16le", "audio/x-voc", "audio"),
    ("rm", "ac3", "audio/vnd.rn-realaudio", "audio"),
]


def tone(container: str, codec: str) -> bytes:
    """One second of a tone."""
    rate = 8_000 if "amr" in codec else 48_000
    samples = (np.sin(np.arange(rate) / rate * 2 * np.pi * 440) * 8_000).astype(np.int16)[None]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        context = stream.codec_context
        resampler = av.AudioResampler(format=context.format, layout="mono", rate=rate, frame_size=context.frame_size or 1_024)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        frame.pts = 0
        for resampled in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(resampled))
        output.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize(("container", "codec", "content_type", "kind"), CONTAINERS, ids=[row[0] for row in CONTAINERS])
def test_what_people_submit_is_recognised(container: str, codec: str, content_type: str, kind: str) -> None:
    """Each common container is known by its first bytes."""
    media = sniff(tone(container, codec)[:HEAD_BYTES])
    assert media is not None
    assert (media.content_type, media.kind) == (content_type, kind)


def test_sound_alone_is_told_by_all_tracks() -> None:
    """Matroska with pictures, or whose tracks are not all in the head, is a video."""
    head = tone("webm", "libopus")[:HEAD_BYTES]
    place = head.index(b"\x1f\x43\xb6\x75")
    for other in (head[:place], head[:place] + b"\x86\x85V_VP8" + head[place:]):
        assert sniff(other) == Media("video/webm", "video")


def test_mp3_without_a_tag() -> None:
    """An MP3 may begin with its first frame."""
    tagged = tone("mp3", "libmp3lame")
    size = sum(byte << shift for byte, shift in zip(tagged[6:10], (21, 14, 7, 0), strict=True))
    media = sniff(tagged[10 + size :][:HEAD_BYTES])
    assert media is not None
    assert media.content_type == "audio/mpeg"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"R",
        b"RIFF",
        b"RIFF\x00\x00\x00\x00WEBP",
        b"hello, this is text\n" * 50,
        b"%PDF-1.7\n" + bytes(500),
        b"PK\x03\x04" + bytes(500),
        b"<!doctype html>" + bytes(500),
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(500),
        b"\xff\xfe" + "text in UTF-16".encode("utf-16-le") * 20,
        b"\x7fELF" + bytes(500),
        bytes(1_000),
    ],
)
def test_what_is_no_recording_is_refused(head: bytes) -> None:
    """Documents, pictures, programs and text are not taken for audio."""
    assert sniff(head) is None
