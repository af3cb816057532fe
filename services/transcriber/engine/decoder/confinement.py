"""What a decoder may take, kept by the kernel: code that is made to do what its author never meant does not have to cooperate."""

import contextlib
import math
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.transcriber import memory

_FIRST_TO_GO = 1_000
"""What the out-of-memory killer calls most worth ending."""


def bound_memory(limit: int) -> None:
    """For good: `limit` bytes of address space beside what the process has already. Where there is no `/proc` (macOS), nothing.

    It leaves no core either; and should the machine's memory run out nevertheless, this process is the one to be ended.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_GO))
    taken = memory.reserved(os.getpid())
    if taken is not None:
        resource.setrlimit(resource.RLIMIT_AS, (taken + limit, taken + limit))


@contextmanager
def sealed(seconds: float) -> Iterator[None]:
    """In this block no file, pipe or socket can be opened, and after `seconds` of CPU the process is killed (SIGXCPU).

    What is open stays so. The soft limits do it, and may be raised again.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    enough = math.ceil(used.ru_utime + used.ru_stime + seconds)
    with _soft_limit(resource.RLIMIT_NOFILE, 0), _soft_limit(resource.RLIMIT_CPU, enough):
        yield


@contextmanager
def _soft_limit(which: int, value: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(which)
    resource.setrlimit(which, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(which, (soft, hard))
