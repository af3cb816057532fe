"""Models in memory, whatever they are for: each is loaded when it is first wanted, kept for the next use, and let go by one rule.

Where memory is bounded the least recently used goes before another one comes, and none stays that has idled for longer than asked. What is
in use stays; whatever has gone is loaded again when it is next wanted.
"""

import logging
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import msgspec

T = TypeVar("T")

log = logging.getLogger(__name__)


class Name(NamedTuple):
    """`kind`: models of one kind are taken to be of like size."""

    kind: str
    model: str


class _Held(msgspec.Struct):
    """`size` in bytes is what memory grew by while it was loaded; `users` are at work with it now."""

    model: Any
    size: int
    users: int = 1
    used_at: float = 0.0


def _nothing() -> None:
    """Python gives memory back by itself."""


class Shelf:
    """Used from several threads. `budget` in bytes; `used` measures what loading changes; `release` gives back what has been let go."""

    def __init__(
        self,
        *,
        budget: int | None = None,
        used: Callable[[], int] = lambda: 0,
        release: Callable[[], None] = _nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget, self._used, self._release, self._clock = budget, used, release, clock
        self._lock = threading.Lock()
        self._loading: defaultdict[Name, threading.Lock] = defaultdict(threading.Lock)
        self._held: OrderedDict[Name, _Held] = OrderedDict()
        self._sizes: dict[Name, int] = {}

    @contextmanager
    def use(self, name: Name, load: Callable[[], T]) -> Iterator[T]:
        """The model, brought by `load` if it is not there; it stays for as long as the block lasts. Raises what `load` raises."""
        held = self._take(name, load)
        try:
            yield held.model
        finally:
            with self._lock:
                held.users -= 1
                held.used_at = self._clock()
                self._held.move_to_end(name)

    @property
    def names(self) -> list[Name]:
        """In memory now, the least recently used first."""
        with self._lock:
            return list(self._held)

    def clear(self) -> None:
        """Let go of all that is not in use: memory ran out."""
        with self._lock:
            self._drop(self._idle(), "memory")

    def unload_idle(self, seconds: float) -> None:
        """Let go of what nobody has used for so long."""
        with self._lock:
            self._drop([name for name in self._idle() if self._clock() - self._held[name].used_at >= seconds], "idle")

    def unload_when_idle(self, seconds: float) -> None:
        """Do so by itself, for as long as the process lives."""

        def watch() -> None:
            while True:
                time.sleep(seconds / 4)
                self.unload_idle(seconds)

        threading.Thread(target=watch, name="idle-models", daemon=True).start()

    def _take(self, name: Name, load: Callable[[], Any]) -> _Held:
        """Only who wants the same model waits while it is loaded."""
        with self._lock:
            door = self._loading[name]
        with door:
            with self._lock:
                if (held := self._held.get(name)) is not None:
                    held.users += 1
                    return held
                self._make_room(self._expected(name))
            before = self._used()
            model = load()
            with self._lock:
                self._sizes[name] = max(0, self._used() - before)
                self._held[name] = held = _Held(model, self._sizes[name])
                self._make_room(0)
                return held

    def _expected(self, name: Name) -> int:
        """As large as it was the last time, else as the largest of its kind."""
        alike = (held.size for other, held in self._held.items() if other.kind == name.kind)
        return self._sizes.get(name, max(alike, default=0))

    def _make_room(self, coming: int) -> None:
        """As far as that can be done: what is in use stays, whatever its size."""
        if self._budget is None:
            return
        excess = sum(held.size for held in self._held.values()) + coming - self._budget
        leaving: list[Name] = []
        for name in self._idle():
            if excess <= 0:
                break
            excess -= self._held[name].size
            leaving.append(name)
        self._drop(leaving, "memory")

    def _idle(self) -> list[Name]:
        return [name for name, held in self._held.items() if not held.users]

    def _drop(self, names: list[Name], reason: str) -> None:
        for name in names:
            log.info("unloading %s (%s)", " ".join(name), reason)
            del self._held[name]
        if names:
            self._release()
