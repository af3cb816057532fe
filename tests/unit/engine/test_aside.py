"""Work beside other work."""

import threading
from queue import SimpleQueue

from services.transcriber.engine.aside import Aside

SECONDS = 60


def test_one_piece_at_a_time() -> None:
    """Whoever hands over goes on at once; the next piece waits until that one is done, so both are in order."""
    aside, proceed, done = Aside(), threading.Event(), SimpleQueue[str]()

    def slow() -> None:
        proceed.wait(SECONDS)
        done.put("slow")

    aside.do(slow)
    assert aside.busy
    proceed.set()
    aside.do(lambda: done.put("quick"))
    assert aside.wait(SECONDS)
    assert [done.get(timeout=SECONDS) for _ in range(2)] == ["slow", "quick"]


def test_what_ends_the_process_ends_it_from_there() -> None:
    """A device that fails while a transcript is finished does not wait for the next request to be noticed."""
    ended: SimpleQueue[int] = SimpleQueue()

    def fail() -> None:
        raise SystemExit(70)

    Aside(end=ended.put).do(fail)
    assert ended.get(timeout=SECONDS) == 70
