"""Room for parts: who waits, who makes way, who is refused."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from common.room import FIRST_BYTES, NoRoom, Room, Share

PART = 2 * FIRST_BYTES


async def fill(share: Share) -> None:
    """A part begins, with bytes that came at once."""
    with share.received(PART):
        await share.hold(PART)


async def test_first_bytes_need_no_room() -> None:
    """However many hold them."""
    room = Room(1, patience=0.01)
    async with AsyncExitStack() as shares:
        for _ in range(20):
            await (await shares.enter_async_context(room.share())).hold(FIRST_BYTES)


async def test_who_waits_in_vain_is_refused() -> None:
    """Where nobody is much slower, nobody is ended for it; and who was refused has taken nothing."""
    room = Room(1, turn=0.01, patience=0.1)
    async with room.share() as first:
        with first.received(100 * PART):
            await first.hold(PART)
        with pytest.raises(NoRoom):
            async with room.share() as second:
                await fill(second)
    async with room.share() as third:
        await fill(third)


async def test_the_slowest_makes_way() -> None:
    """The one of whom nothing came for longest in proportion, and no other."""
    room = Room(2, turn=0.01)
    filling = asyncio.Event()

    async def drip() -> None:
        async with room.share() as share:
            await fill(share)
            filling.set()
            await asyncio.Event().wait()

    dripping = asyncio.create_task(drip())
    await filling.wait()
    await asyncio.sleep(0.5)  # of which the slow one's speed is told
    async with room.share() as quick:
        await fill(quick)
        async with room.share() as late:
            await fill(late)
        with pytest.raises(NoRoom):
            await dripping


async def test_who_sends_makes_no_way() -> None:
    """One for whom the server is waited for, not the client, is not slow."""
    room = Room(1, turn=0.01, patience=0.1)
    async with room.share() as sending:
        with sending.received(PART):
            await sending.hold(PART)
            await asyncio.sleep(0.5)
            with pytest.raises(NoRoom):
                async with room.share() as second:
                    await fill(second)
    async with room.share() as whole:
        await fill(whole)
        whole.settle()
        await asyncio.sleep(0.5)
        with pytest.raises(NoRoom):
            async with room.share() as second:
                await fill(second)


async def test_a_part_on_its_way_keeps_its_place() -> None:
    """Until whoever sends it says that it is there."""
    room = Room(1, patience=0.05)
    async with room.share() as share:
        await fill(share)
        sent = share.hand_over()
        with pytest.raises(NoRoom):
            await fill(share)
        sent()
        await fill(share)
