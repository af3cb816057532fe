"""Real speech in five languages, with what is said: Asterisk's voice prompts, as Debian packages them, one by one or in a row.

They are fetched by the system's own `apt-get download` into `.verbatim/prompts` and belong to nobody's repository (CC-BY-SA). Where
there is no apt, there are none.
"""

import gzip
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import av
import msgspec

from deploy.local.service import REPOSITORY
from tests.recordings import wav

LANGUAGES = ("en", "es", "fr", "it", "ru")
_ROOT = REPOSITORY / ".verbatim" / "prompts"
_RATE = 16_000
_HEADER = 44
_FIRST, _ALL = (3.5, 5.5), (2.0, 12.0)
"""Seconds: there are about 250 of the first, which are taken first, and 700 more of the others, the nearest to five seconds first."""

_MANY = 10_000
_PAUSE = bytes(_RATE)
"""Half a second."""

_LINE = re.compile(r"^([\w/-]+):\s*([^\[\]<>]+)$")


class Clip(msgspec.Struct, frozen=True):
    """A WAV file (16 kHz, mono, 16 bit) of about five seconds and its text."""

    path: Path
    language: str
    text: str
    seconds: float


def clips(count: int, folder: Path) -> list[Clip]:
    """`count` clips, evenly over the languages, written to `folder`; none where the packages cannot be had."""
    if not _available():
        return []
    each = -(-count // len(LANGUAGES))
    found = [clip for language in LANGUAGES for clip in _of(language, each, folder)]
    return found[:count]


def recordings(count: int, seconds: int, folder: Path) -> list[Path]:
    """`count` recordings of so many seconds, each in one of the languages, whose prompts come in a row and again when all were there.

    None where the packages cannot be had.
    """
    if not _available():
        return []
    prompts = {language: cycle(_of(language, _MANY, folder)) for language in LANGUAGES[:count]}
    return [_in_a_row(each, seconds, folder / f"row-{number}.wav") for number, each in enumerate(islice(cycle(prompts.values()), count))]


def _in_a_row(prompts: Iterator[Clip], seconds: int, path: Path) -> Path:
    frames, size = bytearray(), seconds * 2 * _RATE
    while len(frames) < size:
        frames += next(prompts).path.read_bytes()[_HEADER:] + _PAUSE
    path.write_bytes(wav(bytes(frames[:size])))
    return path


def _available() -> bool:
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


def _of(language: str, count: int, folder: Path) -> list[Clip]:
    texts = _unpacked(f"asterisk-core-sounds-{language}")
    sounds = _unpacked(f"asterisk-core-sounds-{language}-g722")
    [written] = texts.rglob("core-sounds-*.txt.gz")
    found: list[tuple[float, Path, str]] = []
    for line in gzip.decompress(written.read_bytes()).decode("utf-8", "replace").splitlines():
        match = _LINE.match(line)
        recording = match and next(sounds.rglob(f"*_*_*/{match[1]}.g722"), None)
        if match and recording and _ALL[0] <= (seconds := recording.stat().st_size / 8_000) <= _ALL[1]:
            found.append((seconds, recording, match[2].strip()))
    chosen: list[Clip] = []
    for seconds, recording, text in sorted(found, key=_beyond)[:count]:
        path = folder / f"{language}-{len(chosen)}.wav"
        path.write_bytes(wav(_pcm(recording)))
        chosen.append(Clip(path, language, text, seconds))
    return chosen


def _beyond(clip: tuple[float, Path, str]) -> float:
    """How far it is from being as long as the first ones; those keep their order."""
    return max(0.0, _FIRST[0] - clip[0], clip[0] - _FIRST[1])


def _unpacked(package: str) -> Path:
    target = _ROOT / package
    if not target.exists():
        _ROOT.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=_ROOT, check=True, capture_output=True)
        [archive] = _ROOT.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], check=True)
        archive.unlink()
    return target


def _pcm(recording: Path) -> bytes:
    pcm = bytearray()
    with av.open(recording, format="g722") as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
        for frame in [*container.decode(audio=0), None]:
            for piece in resampler.resample(frame):
                pcm += memoryview(piece.planes[0])[: piece.samples * 2]
    return bytes(pcm)
