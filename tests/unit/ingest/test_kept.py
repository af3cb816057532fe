"""What is looked up once for all who ask."""

import asyncio

import pytest

from services.ingest.kept import Kept


async def test_one_look_serves_all_who_ask() -> None:
    """Those that ask while somebody looks wait for what is found, and those that ask soon after get it too; later it is looked up anew.

    What took long to look up is kept for longer.
    """
    looks, now, takes = 0, 0.0, 0.0

    async def look() -> str:
        nonlocal looks, now
        looks += 1
        await asyncio.sleep(0)
        now += takes
        return f"look {looks}"

    kept = Kept[str](lambda: now)
    assert await asyncio.gather(*(kept.get(look) for _ in range(5))) == ["look 1"] * 5
    now = 1.0
    assert await kept.get(look) == "look 1"
    now, takes = 1.5, 0.5
    assert await kept.get(look) == "look 2"
    now += 10.0
    assert await kept.get(look) == "look 2"
    now += 0.5
    assert await kept.get(look) == "look 3"


async def test_a_look_that_failed_is_none() -> None:
    """It is told to who asked, and the next one looks again."""

    async def away() -> str:
        raise OSError("away")

    async def look() -> str:
        return "there"

    kept = Kept[str]()
    with pytest.raises(OSError, match="away"):
        await kept.get(away)
    assert await kept.get(look) == "there"
