"""Short clips of real speech in five languages, with what is said in each: Asterisk's voice prompts, as Debian packages them.

They are fetched by the system's own `apt-get download` into `.verbatim/prompts` and belong to nobody's repository (CC-BY-SA). Where
there is no apt, there are none.
"""

import gzip
import io
import re
import shutil
import subprocess
import wave
from pathlib import Path

import av
import msgspec

from deploy.local.service import REPOSITORY

LANGUAGES = ("en", "es", "fr", "it", "ru")
_ROOT = REPOSITORY / ".verbatim" / "prompts"
_RATE = 16_000
_SECONDS = (3.5, 5.5)
_LINE = re.compile(r"^([\w/-]+):\s*([^\[\]<>]+)$")


class Clip(msgspec.Struct, frozen=True):
    """A WAV file (16 kHz, mono, 16 bit) of 3.5 to 5.5 s and its text."""

    path: Path
    language: str
    text: str


def clips(count: int, folder: Path) -> list[Clip]:
    """`count` clips, evenly over the languages, written to `folder`; none where the packages cannot be had."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return []
    each = -(-count // len(LANGUAGES))
    found = [clip for language in LANGUAGES for clip in _of(language, each, folder)]
    return found[:count]


def _of(language: str, count: int, folder: Path) -> list[Clip]:
    texts = _unpacked(f"asterisk-core-sounds-{language}")
    sounds = _unpacked(f"asterisk-core-sounds-{language}-g722")
    [written] = texts.rglob("core-sounds-*.txt.gz")
    found: list[Clip] = []
    for line in gzip.decompress(written.read_bytes()).decode("utf-8", "replace").splitlines():
        match = _LINE.match(line)
        recording = match and next(sounds.rglob(f"*_*_*/{match[1]}.g722"), None)
        if not match or recording is None or not _SECONDS[0] <= recording.stat().st_size / 8_000 <= _SECONDS[1]:
            continue
        path = folder / f"{language}-{len(found)}.wav"
        path.write_bytes(_as_wav(recording))
        found.append(Clip(path, language, match[2].strip()))
        if len(found) == count:
            break
    return found


def _unpacked(package: str) -> Path:
    target = _ROOT / package
    if not target.exists():
        _ROOT.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=_ROOT, check=True, capture_output=True)
        [archive] = _ROOT.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], check=True)
        archive.unlink()
    return target


def _as_wav(recording: Path) -> bytes:
    pcm = bytearray()
    with av.open(recording, format="g722") as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
        for frame in [*container.decode(audio=0), None]:
            for piece in resampler.resample(frame):
                pcm += memoryview(piece.planes[0])[: piece.samples * 2]
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, _RATE, 0, "NONE", "not compressed"))
        writer.writeframes(bytes(pcm))
    return file.getvalue()
