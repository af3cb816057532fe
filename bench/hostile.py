"""`./run bench hostile`: what each hostile recording of `tests/hostile` ends as, and what it takes of its decoder's time and memory.

Bombs and lies have a decoder each, others one together, with the limits that the engine gives it.
"""

import argparse
import itertools
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

import msgspec

from bench._system import report
from common.errors import VerbatimError
from services.transcriber.engine.decoder.keeper import Decoder
from services.transcriber.engine.settings import EngineSettings
from tests.hostile import bombs, damage, lies, pointers
from tests.hostile.item import HEARD, Item
from tests.hostile.recordings import recordings
from tests.recordings import sample

_MB = 2**20
_LIMITS = EngineSettings()
_GRACE_SECONDS = 5.0  # to end a decoder whose time is over
_OWN_BYTES = 64 * _MB  # what a decoder has before it sees a file


class Ended(msgspec.Struct, frozen=True):
    """How one did; `megabytes` are those of the decoder at its largest; `right`: it ended as it may, and within its limits."""

    name: str
    size: int
    end: str
    right: bool
    seconds: float
    megabytes: float


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench hostile")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--damaged", type=int, default=8, help="of each kind for each container")
    parser.add_argument("--light", action="store_true", help="leave out those that take minutes")
    parser.add_argument("--only", nargs="+", default=[""], help="those whose name has one of these in it")
    options = parser.parse_args(arguments)

    def wanted(items: Iterable[Item]) -> list[Item]:
        return [item for item in items if any(each in item.name for each in options.only) and not (options.light and item.heavy)]

    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        secret = Path(folder, "secret.wav")
        secret.write_bytes(sample())
        alone = {
            "bombs": wanted(bombs.items()),
            "lies": wanted(lies.items()),
        }
        together = {
            "damage": wanted(damage.items(recordings(Path(folder)), options.seed, options.damaged)),
            "pointers": wanted(pointers.items(secret, listener.getsockname()[1])),
        }
        ended = {group: [_end_alone(item, Path(folder)) for item in items] for group, items in alone.items()}
        with closing(_decoder()) as decoder:
            ended |= {group: [_end(item, Path(folder), decoder) for item in items] for group, items in together.items()}
        listener.settimeout(0)
        connected = _connected(listener)
    _report(ended, connected=connected)


def _decoder() -> Decoder:
    return Decoder(memory=_LIMITS.decode_memory_limit_mb * _MB, seconds=_LIMITS.decode_time_limit_seconds)


def _end_alone(item: Item, folder: Path) -> Ended:
    with closing(_decoder()) as decoder:
        return _end(item, folder, decoder)


def _end(item: Item, folder: Path, decoder: Decoder) -> Ended:
    path = folder / "upload"
    path.write_bytes(item.make())
    with _Peak(decoder) as peak:
        began = time.perf_counter()
        end = _code(decoder, path)
        seconds = time.perf_counter() - began
    kept = seconds <= _LIMITS.decode_time_limit_seconds + _GRACE_SECONDS and peak.bytes <= _LIMITS.decode_memory_limit_mb * _MB + _OWN_BYTES
    return Ended(item.name, path.stat().st_size, end, kept and end in item.ends, round(seconds, 2), round(peak.bytes / _MB))


def _code(decoder: Decoder, path: Path) -> str:
    try:
        decoder.read(path, "mix")
    except VerbatimError as error:
        return error.code
    return HEARD


def _connected(listener: socket.socket) -> bool:
    try:
        listener.accept()
    except BlockingIOError:
        return False
    return True


def _report(groups: dict[str, list[Ended]], *, connected: bool) -> None:
    every = list(itertools.chain.from_iterable(groups.values()))
    rows = [("what", "ends as, seconds, MB", "allowed")]
    for group in ("bombs", "lies"):
        rows += [
            (f"{each.name} ({_size(each.size)})", f"{each.end}, {each.seconds:g}, {each.megabytes:g}", "yes" if each.right else "NO")
            for each in groups[group]
        ]
    for group in filter(groups.get, ("damage", "pointers")):
        rows.append(
            (f"{len(groups[group])} of {group}", _most(groups[group]), "yes" if all(each.right for each in groups[group]) else "NO")
        )
    rows.append(("connections to what was pointed at", "some" if connected else "none", "none"))
    report("hostile", rows, {"items": [msgspec.to_builtins(each) for each in every], "connected": connected})
    if connected or not all(each.right for each in every):
        sys.exit(1)


def _most(ended: Iterable[Ended]) -> str:
    each = list(ended)
    codes = sorted({one.end for one in each})
    return f"{' / '.join(codes)}, at most {max(one.seconds for one in each):g}, {max(one.megabytes for one in each):g}"


def _size(count: int) -> str:
    return f"{count / 1_000:.0f} kB" if count < 10**6 else f"{count / 10**6:.1f} MB"


class _Peak:
    """The largest that a decoder is while the block runs."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder, self._over = decoder, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            self.bytes = max(self.bytes, _largest(self._decoder.pid))


def _largest(pid: int) -> int:
    """What the kernel remembers of it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
