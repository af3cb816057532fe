"""The short form of `./run bench chaos`: the same load, faults and verdict, with each fault once."""

from pathlib import Path

from bench.chaos import Plan, run
from tests.nursery import Nursed

_PLAN = Plan(
    seed=1,
    seconds=None,
    clients=4,
    jobs={"plain": 5, "broken": 1, "cancel": 2, "delete": 2},  # what is to expire takes a minute at the least
    faults=("kill", "kill engines", "stop", "restart servers", "delete queues", "store", "failing commits", "lost commits"),
)


async def test_nothing_is_lost_duplicated_or_left_behind(tmp_path: Path) -> None:
    """Whatever is killed, stopped, refused or forgotten: all that was told is whole and true, and at rest nothing is left."""
    outcome = await run(tmp_path, _PLAN, process=Nursed)
    assert outcome.wrong == {}, outcome.figures["faults"]
