"""A batch gets through whatever is in it: in smaller ones when memory is short, one by one when something in it cannot be heard.

One bad chunk is left out and never takes its neighbours along. What concerns all of them alike (a device that failed, a cancel, options
that no model can serve, a single chunk for which there is no memory) is raised.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from common.errors import VerbatimError
from services.transcriber.engine import failures

T = TypeVar("T")


class Batches:
    """Remembers, for as long as it lives, how large a batch may be. Several may be worked on at once."""

    def __init__(self) -> None:
        self.most: int | None = None

    def work(self, batch: Sequence[T], hear: Callable[[Sequence[T]], None]) -> list[tuple[T, Exception]]:
        """Have `hear` do all of `batch`; returns those that it could not do alone either, each with why."""
        lost: list[tuple[T, Exception]] = []
        waiting = [batch]
        while waiting:
            part = waiting.pop(0)
            if self.most is not None and len(part) > self.most:
                waiting[:0] = [part[start : start + self.most] for start in range(0, len(part), self.most)]
                continue
            error = _attempt(part, hear)
            # The failed attempt's tensors are free from here on, as its frames are gone.
            if error is None:
                continue
            if len(part) == 1:
                lost.append((part[0], error))
            elif failures.out_of_memory(error):
                self.most = min(len(part) // 2, self.most or len(part))
                waiting.insert(0, part)
            else:
                waiting[:0] = [[one] for one in part]
        return lost

    def work_all(self, batch: Sequence[T], hear: Callable[[Sequence[T]], None]) -> None:
        """The same where nothing may be left out: raises why the first could not be done."""
        for _, error in self.work(batch, hear):
            raise error


def _attempt(part: Sequence[T], hear: Callable[[Sequence[T]], None]) -> Exception | None:
    try:
        hear(part)
    except VerbatimError:
        raise
    except Exception as error:
        if failures.poisons_device(error) or (len(part) == 1 and failures.out_of_memory(error)):
            raise
        return error.with_traceback(None)
    return None
