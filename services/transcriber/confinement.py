"""What a process that decodes may take, kept by the kernel: code that is made to do what its author never meant need not cooperate."""

import contextlib
import math
import os
import resource
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from services.transcriber import memory

_FIRST_TO_GO = 1_000
"""What the out-of-memory killer calls most worth ending."""

_NEEDED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "SYSTEMROOT", "TMPDIR", "TZ")
_ONE_THREAD = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""One thread decodes; what others would reserve counts against its memory."""


def bare(environ: Mapping[str, str]) -> dict[str, str]:
    """What such a process gets of our environment: what Python needs, and no secret."""
    return {name: environ[name] for name in _NEEDED if name in environ} | _ONE_THREAD


def end_with(pipe: int) -> None:
    """From now on this process ends when there is nobody left who could write to `pipe`, whatever it is doing."""
    threading.Thread(target=_outlast, args=(os.dup(pipe),), name="parent", daemon=True).start()


def _outlast(pipe: int) -> None:
    try:
        while os.read(pipe, 2**10):
            pass
    finally:
        os._exit(1)


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


def bound_time(seconds: float) -> None:
    """For good: after `seconds` of CPU the process is killed (SIGXCPU)."""
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), resource.getrlimit(resource.RLIMIT_CPU)[1]))


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
