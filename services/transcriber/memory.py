"""How much memory another process occupies, where the system says so."""

import os
from pathlib import Path

_RESIDENT = 1
"""The field of `/proc/{pid}/statm` that counts resident pages."""


def resident(pid: int) -> int | None:
    """Bytes in physical memory; None without `/proc` (macOS), or when there is no such process any more."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return None
    return int(fields[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")
