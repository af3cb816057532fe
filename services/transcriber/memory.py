"""How much memory a process has, and how much there is for it, where the system says so."""

import os
from collections.abc import Iterator
from pathlib import Path

_SIZE, _RESIDENT = 0, 1
"""The fields of `/proc/{pid}/statm` that count all of its pages, and those in memory."""

_MACHINE = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")


def resident(pid: int) -> int | None:
    """Bytes in physical memory; None without `/proc` (macOS), or when there is no such process any more."""
    return _bytes(pid, _RESIDENT)


def reserved(pid: int) -> int | None:
    """Bytes of address space, whether or not there is anything in them; None as in `resident`."""
    return _bytes(pid, _SIZE)


def free(machine: Path = _MACHINE, container: Path = _CONTAINER) -> int | None:
    """Bytes that can still be had: of the machine's, and of the container's where it has a limit; files in memory make room."""
    return min((*_left_in_machine(machine), *_left_in_container(container)), default=None)


def _left_in_machine(source: Path) -> Iterator[int]:
    try:
        yield _fields(source)["MemAvailable:"] * 2**10
    except (OSError, KeyError):
        return


def _left_in_container(folder: Path) -> Iterator[int]:
    try:
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
        yield max(0, limit - used + _fields(folder / "memory.stat")["file"])
    except (OSError, KeyError, ValueError):  # no container, or no limit ("max")
        return


def _fields(source: Path) -> dict[str, int]:
    return {name: int(number) for name, number, *_ in (line.split() for line in source.read_text().splitlines())}


def _bytes(pid: int, field: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return None
    return int(fields[field]) * os.sysconf("SC_PAGE_SIZE")
