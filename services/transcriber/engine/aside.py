"""Work done beside other work, in a thread of its own, one piece after the other.

Nobody waits in line: who has more to do waits until what was handed over before is done, so what that holds in memory is bounded.
"""

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue


class Aside:
    """A piece that raises `SystemExit` ends the process by `end`, whatever else it is doing; pieces see to all their other errors."""

    def __init__(self, end: Callable[[int], object] = os._exit) -> None:
        self._end = end
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._run, name="aside", daemon=True).start()

    @property
    def busy(self) -> bool:
        return not self._idle.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Until nothing is being done, or so long; whether nothing is."""
        return self._idle.wait(seconds)

    def do(self, work: Callable[[], None]) -> None:
        """Begin `work`, as soon as what was begun before is done. From one thread only."""
        self._idle.wait()
        self._idle.clear()
        self._work.put(work)

    def _run(self) -> None:
        while True:
            self._do_next()

    def _do_next(self) -> None:
        """Nothing here outlives the call."""
        work = self._work.get()
        try:
            work()
        except SystemExit as ending:
            self._end(int(ending.code or 0))
        finally:
            self._idle.set()
