"""How long an address that gives no answer is left alone."""

from datetime import timedelta

from services.notifier.lanes import SHUTS_AFTER, shut_for


def test_patience_with_a_few() -> None:
    """A request or two without an answer shut nothing: a receiver may be starting again."""
    assert [shut_for(failures) for failures in range(1, SHUTS_AFTER)] == [None] * (SHUTS_AFTER - 1)


def test_ever_longer() -> None:
    """Each further silence doubles the time, up to ten minutes and no further."""
    times = [shut_for(failures) for failures in (3, 4, 5, 6, 7, 8, 9, 1_000_000)]
    assert times == [timedelta(seconds=seconds) for seconds in (30, 60, 120, 240, 480, 600, 600, 600)]
