"""As many batches are heard beside each other as pays, and what comes of them is told in their order."""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from services.transcriber.engine.abreast import Abreast

GIB = 2**30
SECONDS = 60
ROUNDS = 4


class Chunk(NamedTuple):
    """One that is heard in a window of 30 s."""

    number: int
    window: int = 30


def batches(count: int) -> list[list[Chunk]]:
    return [[Chunk(number)] for number in range(count)]


class Processor:
    """Hears `rates[n]` batches a second when n are heard at once, by a clock that stands still in between."""

    def __init__(self, rates: dict[int, float]) -> None:
        self.now, self.most = 0.0, 0
        self._rates, self._under_way, self._lock = rates, 0, threading.Lock()

    def clock(self) -> float:
        return self.now

    def hear(self, batch: Sequence[Chunk]) -> int:
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        return batch[0].number

    def heard(self, abreast: Abreast) -> Callable[[Sequence[Chunk], int], None]:
        """Time passes as batches end: with as many under way as the engine has come to."""

        def told(batch: Sequence[Chunk], number: int) -> None:
            assert batch[0].number == number
            with self._lock:
                self._under_way -= 1
            self.now += 1 / self._rates[abreast.at_once(30)]

        return told


@pytest.mark.parametrize(("rates", "kept"), [({1: 10, 2: 18, 4: 30}, 4), ({1: 10, 2: 12, 4: 12.1}, 2), ({1: 10, 2: 9}, 1)])
def test_workers_are_added_while_that_pays(rates: dict[int, float], kept: int) -> None:
    """Twice as many while more is heard in the same time, up to the most there may be; never more under way than that."""
    processor = Processor(rates)
    abreast = Abreast(1, 4, lambda: GIB, processor.clock)
    abreast.work(batches(60), processor.hear, processor.heard(abreast))
    assert abreast.at_once(30) == kept
    assert processor.most <= max(rates)


def test_a_number_that_is_given_stays() -> None:
    """Nothing is tried then."""
    processor = Processor({2: 1.0})
    abreast = Abreast(2, 2, lambda: GIB, processor.clock)
    abreast.work(batches(20), processor.hear, processor.heard(abreast))
    assert abreast.at_once(30) == 2


def test_two_are_heard_at_the_same_time() -> None:
    """Each waits for the other to have begun; they are told in their order all the same."""
    both, order = threading.Barrier(2), list[int]()

    def hear(batch: Sequence[Chunk]) -> int:
        both.wait(SECONDS)
        return batch[0].number

    Abreast(2, 2, lambda: GIB).work(batches(4), hear, lambda _batch, number: order.append(number))
    assert order == [0, 1, 2, 3]


def test_one_by_one_everything_is_done_by_the_caller() -> None:
    """On a GPU nothing changes hands."""
    where: list[str] = []
    abreast = Abreast(1, 1, lambda: GIB)
    abreast.work(batches(2), lambda _batch: where.append(threading.current_thread().name), lambda _batch, _found: None)
    assert where == [threading.current_thread().name] * 2


@pytest.mark.parametrize("where", ["hear", "heard"])
def test_what_fails_is_raised_when_nothing_is_under_way(where: str) -> None:
    """A cancel, or a batch that cannot be heard: what has been begun is waited for, and nothing more begins."""
    begun, over = list[int](), list[int]()
    second = threading.Event()

    def hear(batch: Sequence[Chunk]) -> int:
        number = batch[0].number
        begun.append(number)
        if number == 1:
            second.set()
        assert second.wait(SECONDS)
        if number == 0 and where == "hear":
            raise MemoryError
        over.append(number)
        return number

    def heard(_batch: Sequence[Chunk], _number: int) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        Abreast(2, 2, lambda: GIB).work(batches(9), hear, heard)
    assert sorted(begun) == [0, 1]
    assert 1 in over
