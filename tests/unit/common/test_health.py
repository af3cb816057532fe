"""Readiness, of which anybody may ask."""

import asyncio

from common.health import Health
from common.lifecycle import Lifecycle


async def test_those_who_ask_at_once_share_a_look() -> None:
    """Of a crowd that asks, one looks at the dependencies, whoever of them leaves; who comes later looks anew."""
    looks, answer = 0, asyncio.Event()

    async def check() -> None:
        nonlocal looks
        looks += 1
        await answer.wait()
        if looks > 1:
            raise ConnectionError

    health = Health(Lifecycle(0), {"database": check})
    asking = [asyncio.create_task(health.ready()) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    answer.set()
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert (looks, told[1:]) == (1, [{"database": "ok"}] * 19)
    assert await health.ready() == {"database": "unavailable (ConnectionError)"}
