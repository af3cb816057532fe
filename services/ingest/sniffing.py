"""What a file is, told from its first bytes and never from its name.

The signatures are those of the containers that ffmpeg reads and people submit. Our own table, as the common libraries know neither
MP3 without an ID3 tag nor MPEG-TS and call any zip a document (docs/decisions/0004). A match says only that decoding is worth a try;
whether there is sound in it the transcriber finds out.
"""

from typing import NamedTuple

from common.jobs.kind import Kind

HEAD_BYTES = 1024
"""How many leading bytes `sniff` wants; fewer are fine when the file is shorter."""


class Media(NamedTuple):
    """`content_type` of a recording and whether its container is one for video, which may hold sound alone: decoding shows that."""

    content_type: str
    kind: Kind


_PREFIXES: tuple[tuple[bytes, Media], ...] = (
    (b"ID3", Media("audio/mpeg", "audio")),
    (b"fLaC", Media("audio/flac", "audio")),
    (b"OggS", Media("audio/ogg", "audio")),
    (b"#!AMR", Media("audio/amr", "audio")),
    (b".snd", Media("audio/basic", "audio")),
    (b"caff", Media("audio/x-caf", "audio")),
    (b"MAC ", Media("audio/x-ape", "audio")),
    (b"TTA1", Media("audio/x-tta", "audio")),
    (b"Creative Voice File", Media("audio/x-voc", "audio")),
    (b".RMF", Media("audio/vnd.rn-realaudio", "audio")),
    (b"wvpk", Media("audio/x-wavpack", "audio")),
    (b"\x0bw", Media("audio/ac3", "audio")),
    (b"riff.\x91\xcf\x11", Media("audio/x-w64", "audio")),
    (b"FLV\x01", Media("video/x-flv", "video")),
    (b"\x00\x00\x01\xba", Media("video/mpeg", "video")),
    (b"\x00\x00\x01\xb3", Media("video/mpeg", "video")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Media("video/x-ms-asf", "video")),
)

_CHUNKED: dict[tuple[bytes, bytes], Media] = {
    (b"RIFF", b"WAVE"): Media("audio/wav", "audio"),
    (b"RF64", b"WAVE"): Media("audio/wav", "audio"),
    (b"RIFX", b"WAVE"): Media("audio/wav", "audio"),
    (b"BW64", b"WAVE"): Media("audio/wav", "audio"),
    (b"RIFF", b"AVI "): Media("video/x-msvideo", "video"),
    (b"FORM", b"AIFF"): Media("audio/aiff", "audio"),
    (b"FORM", b"AIFC"): Media("audio/aiff", "audio"),
}

_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_TS_PACKETS = (188, 192, 204)
_CLUSTER, _SOUND, _PICTURES = b"\x1f\x43\xb6\x75", b"A_", b"V_"  # where data begin; how names of codecs do


def sniff(head: bytes) -> Media | None:
    """The media type of a file that begins with `head`, or None when it is neither audio nor video."""
    for prefix, media in _PREFIXES:
        if head.startswith(prefix):
            return media
    return _CHUNKED.get((head[:4], head[8:12])) or _iso(head) or _matroska(head) or _mpeg_audio(head) or _mpeg_ts(head)


def _iso(head: bytes) -> Media | None:
    """MP4, M4A, MOV, 3GP: a box type at byte 4, the brand at byte 8."""
    if head[4:8] not in _BOXES:
        return None
    if head[8:11] in {b"M4A", b"M4B"}:
        return Media("audio/mp4", "audio")
    return Media("video/quicktime" if head[8:10] == b"qt" else "video/mp4", "video")


def _matroska(head: bytes) -> Media | None:
    """EBML; the document type tells WebM from Matroska, and the codecs of its tracks, where all are in the head, whether it is a video."""
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    name = "webm" if b"webm" in head[:64] else "x-matroska"
    tracks, cluster, _ = head.partition(_CLUSTER)
    if cluster and _SOUND in tracks and _PICTURES not in tracks:
        return Media(f"audio/{name}", "audio")
    return Media(f"video/{name}", "video")


def _mpeg_audio(head: bytes) -> Media | None:
    """MP3, MP2 or ADTS AAC without a tag: eleven or twelve set bits, then fields that have forbidden values.

    Layer I is long extinct, and to admit it would be to take the byte order mark of UTF-16 for a frame.
    """
    if len(head) < 4 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0 and (head[2] >> 2) & 0xF < 13:
        return Media("audio/aac", "audio")
    version, layer = (head[1] >> 3) & 3, (head[1] >> 1) & 3
    bit_rate, sample_rate = head[2] >> 4, (head[2] >> 2) & 3
    if head[1] & 0xE0 == 0xE0 and version != 1 and layer in {1, 2} and bit_rate != 15 and sample_rate != 3:
        return Media("audio/mpeg", "audio")
    return None


def _mpeg_ts(head: bytes) -> Media | None:
    """Sync bytes a packet apart; 192-byte packets carry a time stamp of four bytes first."""
    for size in _TS_PACKETS:
        first = 4 if size == 192 else 0
        if len(head) > first + size and head[first] == 0x47 and head[first + size] == 0x47:
            return Media("video/mp2t", "video")
    return None
