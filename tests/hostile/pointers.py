"""Files that say where the recording lies, for ffmpeg to fetch it."""

from functools import partial
from pathlib import Path

from tests.hostile.containers import box, id3, mp4, table
from tests.hostile.item import Item

_REFUSED = ("unsupported_media",)

_HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:30\n{key}#EXTINF:30,\n{target}\n#EXT-X-ENDLIST\n"
_MASTER = '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{target}"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\n{target}\n'
_DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT30S" '
    'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="audio/wav"><Representation id="1" '
    'bandwidth="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>'
)
_LISTS = {
    "hls": _HLS.replace("{key}", ""),
    "hls with a key": _HLS.replace("{key}", '#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n'),
    "hls with a map": _HLS.replace("{key}", '#EXT-X-MAP:URI="{target}"\n'),
    "hls master": _MASTER,
    "ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "pls": "[playlist]\nNumberOfEntries=1\nFile1={target}\nLength1=30\nVersion=2\n",
    "dash": _DASH,
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "smil": '<smil><body><audio src="{target}"/></body></smil>',
    "m3u": "{target}\n",
}


def items(secret: Path, port: int) -> list[Item]:
    """Files that point at `secret`, a recording, and at whoever listens on a port of loopback; each also behind a tag that ingest takes."""
    lists = [
        Item(f"{kind} to {where}{hidden}", partial(_written, text, target, head), _REFUSED)
        for kind, text in _LISTS.items()
        for where, target in targets(secret, port).items()
        for hidden, head in (("", b""), (" behind id3", id3()))
    ]
    return [
        *lists,
        Item("sdp", partial(_written, _sdp(port), "", b""), _REFUSED),
        Item("sdp behind id3", partial(_written, _sdp(port), "", id3()), _REFUSED),
        Item("a script that makes up sound, behind id3", partial(_written, "-SE\n10:00:00 == a: pink/40\nNOW a\n", "", id3()), _REFUSED),
        Item("an mp4 whose samples are elsewhere", partial(_reference, secret), (*_REFUSED, "empty_audio")),
    ]


def targets(secret: Path, port: int) -> dict[str, str]:
    """The ways ffmpeg knows to name them."""
    return {
        "http": f"http://127.0.0.1:{port}/secret.wav",
        "https": f"https://127.0.0.1:{port}/secret.wav",
        "tcp": f"tcp://127.0.0.1:{port}",
        "ftp": f"ftp://127.0.0.1:{port}/secret.wav",
        "rtmp": f"rtmp://127.0.0.1:{port}/secret",
        "a path": str(secret),
        "a neighbour": secret.name,
        "file": f"file:{secret}",
        "subfile": f"subfile,,start,0,end,0,,:{secret}",
        "concat": f"concat:{secret}|{secret}",
        "crypto": f"crypto:{secret}",
        "cache": f"cache:{secret}",
        "async": f"async:file:{secret}",
        "data": "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA=",
        "a pipe": "pipe:0",
        "a descriptor": "fd:3",
    }


def _written(text: str, target: str, head: bytes) -> bytes:
    return head + text.replace("{target}", target).encode()


def _sdp(port: int) -> str:
    return f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\na=rtpmap:0 PCMU/8000\n"


def _reference(secret: Path) -> bytes:
    """A QuickTime movie of which only the index is here."""
    place = box(b"dref", bytes(4), (1).to_bytes(4, "big"), box(b"url ", bytes(4), f"file://{secret}".encode() + b"\0"))
    media = box(b"minf", box(b"smhd", bytes(8)), box(b"dinf", place), box(b"stbl", table(b"stts", 0), table(b"stco", 0)))
    return mp4(box(b"trak", box(b"mdia", table(b"mdhd", 0, 0, 16_000, 16_000, 0), box(b"hdlr", bytes(8), b"soun", bytes(13)), media)))
