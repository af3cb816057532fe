"""A batch gets through whatever is in it."""

from collections.abc import Sequence

import pytest

from common.errors import PermanentError
from services.transcriber.engine.batches import Batches


class Backend:
    """Hears at most `room` chunks at once, and never `bad` ones."""

    def __init__(self, room: int = 100, bad: str = "", error: Exception | None = None) -> None:
        self.room, self.bad, self.error, self.tried, self.heard = room, bad, error or ValueError("bad sound"), list[int](), ""

    def hear(self, batch: Sequence[str]) -> None:
        self.tried.append(len(batch))
        if len(batch) > self.room:
            raise RuntimeError("CUDA failed with error out of memory")
        if set(self.bad) & set(batch):
            raise self.error
        self.heard += "".join(batch)


def test_out_of_memory_halves_the_batch_until_it_fits() -> None:
    """And the batches that follow begin at the size that did; a new request begins at full size."""
    backend, batches = Backend(room=2), Batches()
    assert batches.work("abcdefgh", backend.hear) == []
    assert (backend.heard, backend.tried) == ("abcdefgh", [8, 4, 2, 2, 2, 2])
    batches.work("ijkl", backend.hear)
    assert (backend.heard, backend.tried[6:]) == ("abcdefghijkl", [2, 2])
    assert Batches().most is None


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), OSError("Cannot allocate memory")],
    ids=["python", "torch", "system"],
)
def test_memory_that_does_not_do_for_one_is_raised(error: Exception) -> None:
    """The job is tried again later: the machine may have more then."""
    with pytest.raises(type(error)):
        Batches().work("ab", Backend(bad="ab", error=error).hear)


def test_one_that_fails_is_left_out_and_the_others_are_not() -> None:
    """Each of its batch is heard alone; what fails alone is handed back with its reason."""
    backend, batches = Backend(bad="c"), Batches()
    [(lost, reason)] = batches.work("abcd", backend.hear)
    assert (lost, str(reason), backend.heard) == ("c", "bad sound", "abd")
    assert batches.most is None


def test_where_nothing_may_be_left_out_the_reason_is_raised() -> None:
    """Memory apart, which is made do with as ever."""
    Batches().work_all("abcd", Backend(room=1).hear)
    with pytest.raises(ValueError, match="bad sound"):
        Batches().work_all("abcd", Backend(bad="c").hear)


@pytest.mark.parametrize(
    "error",
    [PermanentError("cancelled", "Nobody waits."), RuntimeError("CUDA error: unspecified launch failure")],
    ids=["cancelled", "device"],
)
def test_what_concerns_all_is_raised_at_once(error: Exception) -> None:
    """Nothing is gained by trying each alone."""
    backend = Backend(bad="a", error=error)
    with pytest.raises(type(error)):
        Batches().work("ab", backend.hear)
    assert backend.tried == [2]
