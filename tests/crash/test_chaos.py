"""The short form of `./run bench chaos`: the same load and verdict, with a few of the faults."""

from pathlib import Path

import pytest

from bench.chaos import Plan, run
from deploy.local.stack import Stack
from tests.nursery import Nursed

pytestmark = pytest.mark.xdist_group("own stack")

_PLAN = Plan(
    seed=1,
    seconds=None,
    clients=4,
    jobs={"plain": 5, "broken": 1, "cancel": 2, "delete": 2},  # what is to expire takes a minute at the least
    receiver_trouble=(),
    rolling=False,
    counting=False,
    faults=("kill", "delete queues"),
)


async def test_nothing_is_lost_duplicated_or_left_behind(own_stack: Stack, tmp_path: Path) -> None:
    """Whatever is killed, deleted or forgotten: all that was told is whole and true, and at rest nothing is left."""
    outcome = await run(own_stack, tmp_path, _PLAN, process=Nursed)
    assert outcome.wrong == {}, outcome.figures["faults"]
