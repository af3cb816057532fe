"""A seed decides what goes wrong, whatever the machine makes of it: the same again, and not the same as another's."""

import itertools
from collections.abc import Sequence

from bench.chaos import engine
from bench.chaos.receiver import TROUBLE, troubles
from bench.chaos.strike import Strike, strikes

_KINDS = ("kill", "stop", "network")
_DIGESTS = [f"{number * 40_503 % 2**24:06x}" for number in range(2_000)]


def _strikes(seed: str, count: int, kinds: Sequence[str] = _KINDS) -> list[Strike]:
    links = [("ingest-1", "postgres"), (None, "rabbitmq"), ("notifier", "receiver")]
    drawn = strikes(seed, kinds, services=["ingest-1", "notifier", "janitor"], servers=["postgres", "rabbitmq"], links=links)
    return list(itertools.islice(drawn, count))


def test_a_seed_is_a_sequence_of_faults() -> None:
    """Kinds, targets, durations and rests are the same with the same seed; another one has others."""
    assert _strikes("1", 30) == _strikes("1", 30)
    assert _strikes("1", 30) != _strikes("2", 30)
    assert len({strike.services for strike in _strikes("1", 30)}) > 1, "targets vary"


def test_each_kind_comes_once_in_each_round() -> None:
    """None is forgotten, and rounds differ."""
    kinds = [strike.kind for strike in _strikes("1", 30)]
    rounds = [tuple(kinds[start : start + 3]) for start in range(0, 30, 3)]
    assert {frozenset(each) for each in rounds} == {frozenset(_KINDS)}
    assert len(set(rounds)) > 1


def test_a_strike_does_not_depend_on_its_kind() -> None:
    """What one kind needs moves no other: with other kinds, targets and durations are the same."""
    drawn = [[(each.services, each.link, each.length, each.way) for each in _strikes("1", 9, kinds)] for kinds in (_KINDS, ("store",))]
    assert drawn[0] == drawn[1]


def test_a_strike_keeps_within_its_bounds() -> None:
    """Seconds lie between the shortest and the longest, and each way is to be had."""
    drawn = _strikes("1", 60)
    assert all(2 <= strike.seconds(2, 6) <= 6 for strike in drawn)
    assert {strike.one_of("abc") for strike in drawn} == set("abc")


def test_a_receivers_trouble_is_its_jobs() -> None:
    """However many jobs came before, the same goes wrong with one's webhooks; without kinds of trouble, nothing."""
    drawn = [troubles(1, str(number), TROUBLE) for number in range(50)]
    assert drawn == [troubles(1, str(number), TROUBLE) for number in range(50)]
    assert drawn != [troubles(2, str(number), TROUBLE) for number in range(50)]
    assert {len(each) for each in drawn} == {0, 1, 2}
    assert troubles(1, "1", ()) == []


def test_an_engine_is_as_slow_and_as_sound_as_the_recording_says() -> None:
    """A few of many stumble, always the same, and none takes longer than about a second."""
    stumbling = [digest for digest in _DIGESTS if engine.stumbles(digest)]
    assert 0 < len(stumbling) < len(_DIGESTS) / 10
    assert all(0.05 <= engine.seconds(digest) < 1.1 for digest in _DIGESTS)
