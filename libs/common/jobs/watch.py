"""Who wants to know when a job's status changes, within one process.

Postgres notifies the channel `job` with the job's id at every change of status. A notification only wakes: who is woken reads the row, and
everybody who waits also has a deadline, so a lost notification costs time and never truth.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from common.ids import JobId

CHANNEL = "job"
PROGRESS_CHANNEL = "job_progress"
"""Notified at changes of stage and progress alone; only those listen who show them, a worker would but wake itself."""


class Watch:
    """`notify` is called by the listener on `CHANNEL`."""

    def __init__(self) -> None:
        self._events: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def notify(self, job_id: str) -> None:
        """Wake those who watch `job_id`; an empty id wakes all, as notifications may have been missed."""
        for key in [job_id] if job_id else list(self._events):
            for event in self._events.get(key, ()):
                event.set()

    @contextmanager
    def watching(self, watched: JobId | str) -> Iterator[asyncio.Event]:
        """An event that is set when what has this id may have changed; clear it before reading the row."""
        key, event = str(watched), asyncio.Event()
        self._events[key].add(event)
        try:
            yield event
        finally:
            self._events[key].discard(event)
            if not self._events[key]:
                del self._events[key]
