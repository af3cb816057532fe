"""How much memory a process has, where the system says so."""

import os
from pathlib import Path

_SIZE, _RESIDENT = 0, 1
"""The fields of `/proc/{pid}/statm` that count all of its pages, and those in memory."""


def resident(pid: int) -> int | None:
    """Bytes in physical memory; None without `/proc` (macOS), or when there is no such process any more."""
    return _bytes(pid, _RESIDENT)


def reserved(pid: int) -> int | None:
    """Bytes of address space, whether or not there is anything in them; None as in `resident`."""
    return _bytes(pid, _SIZE)


def _bytes(pid: int, field: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return None
    return int(fields[field]) * os.sysconf("SC_PAGE_SIZE")
