"""Silence where a container's times say so, and nowhere else."""

from collections.abc import Iterable

import pytest

from services.transcriber.timeline import Timeline

PACKET = 0.02
MKV, TS = "matroska,webm", "mpegts"


def silences(times: Iterable[float | None], container: str = MKV, start: int | None = 0) -> list[float | None]:
    """Before each of the packets that are heard at these times."""
    timeline = Timeline(container, start)
    return [None if (found := timeline.missing(time, PACKET)) is None else round(found, 6) for time in times]


def packets(count: int, *, at: float = 0.0, apart: float = PACKET) -> list[float]:
    return [at + number * apart for number in range(count)]


def test_packets_in_a_row_leave_no_silence() -> None:
    """Also where the first ones lie before the beginning (what a codec needs to start), or their times are rounded, or not told."""
    assert not any(silences(packets(50, at=-0.006)))
    assert not any(silences([round(time, 3) for time in packets(5_000, apart=0.0200007)]))
    assert not any(silences([0.0, *[None] * 50, 51 * PACKET]))


@pytest.mark.parametrize(("start", "late"), [(0, 3.0), (3_000_000, 0.0), (-80_000, 3.08), (2_950_000, 0.0), (None, 0.0)])
def test_a_track_begins_as_late_as_it_does_for_a_player(start: int | None, late: float) -> None:
    """As counted from the first of anything in the file."""
    assert silences(packets(3, at=3.0), start=start) == [late, 0, 0]


def test_what_is_missing_is_silent() -> None:
    """At once, or packet by packet: as soon as a tenth of a second has come together."""
    assert silences([*packets(10), *packets(10, at=5.2)])[10] == 5.0
    lossy = silences(packets(20, apart=PACKET + 0.03))
    assert [(number, silent) for number, silent in enumerate(lossy) if silent] == [(number, 0.12) for number in (4, 8, 12, 16)]


def test_a_clock_that_is_off_leaves_no_gaps() -> None:
    """It is three per cent slow, and nothing is missing between its packets; what is missing later is the rest."""
    slow = packets(1_000, apart=1.03 * PACKET)
    assert not any(silences(slow))
    assert silences([*slow, slow[-1] + 3.0])[-1] == pytest.approx(3.0 - PACKET + 999 * 0.03 * PACKET)


def test_another_count_is_gone_along_with() -> None:
    """Recordings that were put together begin anew; the second one's silences are still those of the second one."""
    again = silences([*packets(100, at=60.0), *packets(10), *packets(10, at=1.0)], start=60_000_000)
    assert [number for number, silent in enumerate(again) if silent] == [110]
    assert again[110] == pytest.approx(0.8)


@pytest.mark.parametrize(("container", "leap"), [(MKV, 100_000.0), (MKV, 1e12), (TS, 11.0), (MKV, float("inf")), (MKV, float("nan"))])
def test_times_that_nobody_can_mean(container: str, leap: float) -> None:
    """They are told, but for what is no number, and what comes after them is heard as ever."""
    found = silences([*packets(3), *packets(3, at=leap), *packets(3)], container)
    assert found[3] in {None, 0}
    assert not any(found)


def test_what_counts_samples_has_no_gaps() -> None:
    """An mp3's times are guesses."""
    assert not any(silences([*packets(10), *packets(10, at=5.2)], "mp3"))
