"""Claims of attempts, for all who ask at one moment in one transaction.

A message is a token for its lane, also when what it names has been made: with it comes the attempt that has been due there for longest, and
when that has been made the next, for as long as there is one. A message that finds its lane full or shut, or its endpoint paused, leaves no
trace. What it names goes on being due, which costs nothing however much of it there is, and somebody comes to it:

- the lane was full: who makes an attempt there asks for the next after its end is committed. Whoever saw it as not yet ended looked before
  that, and what was due then is found;
- it was shut: one attempt is announced for when the time is up;
- its endpoint was paused, which is looked at under the lock that resuming takes too: resuming announces one;
- its tenant had as many places as he may have: it is remembered in `shares`, and announced when he has ended another attempt here, the
  last one at the latest. With a process that is killed it is forgotten, and the janitor finds what is overdue.

Who dies in between has a message that comes again. It asks in his place, and what he had claimed is announced for when the claim runs out;
so is what a commit may have claimed of which no answer came.

Who comes for a lane while another is in it asks again in a moment, and holds up no other lane.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

import msgspec
import structlog

from common.database import Connection, Pool, Queries
from common.due import Due, about, announce
from services.notifier import deliveries, lanes
from services.notifier.deliveries import Attempt, Bounds
from services.notifier.persistence import persist
from services.notifier.shares import Shares

log = structlog.get_logger(__name__)

SQL = Queries(Path(__file__).with_name("claims.sql"))

_MOMENT_SECONDS = 0.01
_RELEASE_SECONDS = 5.0


class _Lane(msgspec.Struct, frozen=True):
    """A row of `enter_lanes`."""

    lane: str
    tenant: str
    wanted: int
    named: list[UUID]
    tests: list[UUID]
    unprobed: bool
    entered: bool | None


class _Wish:
    """For the attempt that a message names (`again`: it has been given to somebody before), or the next in a lane."""

    def __init__(self, *, due: Due | None = None, again: bool = False, after: Attempt | None = None) -> None:
        self.due = due
        self.again = again
        self.after = after
        self.claimed: asyncio.Future[Attempt | None] = asyncio.get_running_loop().create_future()


class _Claimed(msgspec.Struct, frozen=True):
    """What came of wishes: attempts; the lanes they were for, and of those the ones with too little room; and wishes where another is."""

    attempts: dict[_Wish, Attempt]
    found: list[_Lane]
    held_back: list[_Lane]
    left: list[_Wish]


class Claims:
    """What is claimed is the caller's, who sends it and records what came of it, or gives it back; its place he keeps or leaves."""

    def __init__(self, pool: Pool, bounds: Bounds) -> None:
        self._pool = pool
        self._bounds = bounds
        self._shares = Shares(places=bounds.places, width=bounds.width)
        self._wishes: list[_Wish] = []
        self._working: asyncio.Task[None] | None = None

    async def by_message(self, due: Due, *, again: bool) -> Attempt | None:
        """An attempt in the lane of what the message names; None when there is nothing to do for it, or no place."""
        return await self._ask(_Wish(due=due, again=again))

    async def next(self, after: Attempt) -> Attempt | None:
        """When the end of one is committed, in its place: the one that has been due for longest in its lane. None as above: it is left."""
        attempt = await self._ask(_Wish(after=after))
        if attempt is None:
            await self._pass_on(after)
        return attempt

    def leave(self, attempt: Attempt) -> None:
        """Nobody goes on with it."""
        self._shares.leave(attempt.tenant)

    async def _pass_on(self, attempt: Attempt) -> bool:
        """Let one of the tenant's lanes that was held back have the place, if there is one; where nothing is due does not wait any more."""
        while (lane := self._shares.next_in_turn(attempt.tenant)) is not None:
            if await self._announce([lane], most=1):
                return True
            self._shares.forget(attempt.tenant, lane)
        return False

    async def end_turn(self, attempt: Attempt) -> None:
        """What is due in its lane goes behind what the tenant has in others that were held back, or else what is in the broker's queue."""
        self.leave(attempt)
        await self._bring_back(attempt.tenant)
        if await self._pass_on(attempt):
            self._shares.hold_back(attempt.tenant, attempt.lane)
        else:
            await self._announce([attempt.lane], most=1)

    async def stop(self, attempt: Attempt) -> None:
        """What is due in its lane, and in those of its tenant that were held back, is announced for another notifier."""
        self.leave(attempt)
        await self._announce([attempt.lane, *self._shares.bring_back(attempt.tenant, every=True)], most=1)

    async def _announce(self, keys: Sequence[str], *, most: int) -> int:
        """How many were due in these lanes, up to `most` in each."""

        async def announce_each(connection: Connection) -> int:
            return sum([await lanes.announce_due(connection, lane, most=most) for lane in keys])

        return await persist(self._pool, announce_each)

    async def _bring_back(self, tenant: str) -> None:
        brought = self._shares.bring_back(tenant)
        if brought:
            await self._announce(brought, most=self._bounds.width)

    async def _ask(self, wish: _Wish) -> Attempt | None:
        self._wishes.append(wish)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="claims")
        try:
            return await asyncio.shield(wish.claimed)
        except asyncio.CancelledError:
            await asyncio.shield(self._take_back(wish))
            raise

    async def _take_back(self, wish: _Wish) -> None:
        """Nobody makes what it has led to, or is leading to at this moment. Bounded: when Postgres is away, the claim's end does it."""
        if wish in self._wishes:
            self._wishes.remove(wish)
            if wish.after is not None:
                self.leave(wish.after)
            return
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                attempt = await asyncio.shield(wish.claimed)
                if attempt is not None:
                    self.leave(attempt)
                    await persist(self._pool, lambda connection: deliveries.release(connection, attempt))
        except TimeoutError:
            log.warning("claim not given back")

    async def _work(self) -> None:
        """While anybody waits, whoever has come meanwhile is served together."""
        while self._wishes:
            wishes, self._wishes = self._wishes, []
            left = await self._serve(wishes)
            if left and not self._wishes:
                await asyncio.sleep(_MOMENT_SECONDS)
            self._wishes += left

    async def _serve(self, wishes: Sequence[_Wish]) -> list[_Wish]:
        """Fulfil them; returns those for lanes in which another is. What one of them breaks is broken for that one alone."""
        unsure = False

        async def claim(connection: Connection) -> _Claimed:
            nonlocal unsure
            before, unsure = unsure, True
            return await self._claim(connection, wishes, unsure=before)

        try:
            claimed = await persist(self._pool, claim)
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            if len(wishes) > 1:
                return [late for wish in wishes for late in await self._serve([wish])]
            self._leave_before(wishes)
            wishes[0].claimed.set_exception(error)
            return []
        self._leave_before([wish for wish in wishes if wish not in claimed.left])
        for attempt in claimed.attempts.values():
            self._shares.take(attempt.tenant)
        for lane in claimed.held_back:
            self._shares.hold_back(lane.tenant, lane.lane)
        for wish in wishes:
            if wish not in claimed.left:
                wish.claimed.set_result(claimed.attempts.get(wish))
        for tenant in {lane.tenant for lane in claimed.found}:
            await self._bring_back(tenant)
        return claimed.left

    def _leave_before(self, wishes: Sequence[_Wish]) -> None:
        """The places that they had until now; what came of them has its own."""
        for wish in wishes:
            if wish.after is not None:
                self.leave(wish.after)

    async def _claim(self, connection: Connection, wishes: Sequence[_Wish], *, unsure: bool) -> _Claimed:
        """`unsure`: it was tried before, and may have been done."""
        async with connection.transaction():
            found = await _enter(connection, wishes)
            asking = _by_lane(wishes, found)
            left = [wish for lane in found if lane.entered is False for wish in asking[lane.lane]]
            for wish in wishes:
                if (wish.again or unsure) and wish not in left:
                    await _follow(connection, wish)
            entered = [lane for lane in found if lane.entered]
            shared = self._share(entered, asking)
            attempts = await self._take(connection, shared) if entered else []
            await lanes.send_probes(connection, [lane.lane for lane in entered if lane.unprobed])
        taken = Counter(attempt.lane for attempt in attempts)
        held_back = [lane for lane, most in shared if taken[lane.lane] == most < min(lane.wanted, self._bounds.width)]
        return _Claimed({_hand_out(attempt, asking[attempt.lane]): attempt for attempt in attempts}, found, held_back, left)

    def _share(self, entered: Sequence[_Lane], asking: Mapping[str, Sequence[_Wish]]) -> list[tuple[_Lane, int]]:
        """How many each may have at the most: the places of those who go on there, and of what its tenant may have besides."""
        room = {lane.tenant: self._shares.room(lane.tenant) for lane in entered}
        shared = []
        for lane in entered:
            going_on = sum(wish.after is not None for wish in asking[lane.lane])
            most = min(lane.wanted, self._bounds.width, going_on + room[lane.tenant])
            room[lane.tenant] -= max(most - going_on, 0)
            shared.append((lane, most))
        return shared

    async def _take(self, connection: Connection, shared: Sequence[tuple[_Lane, int]]) -> list[Attempt]:
        tenants = {lane.lane: lane.tenant for lane, _ in shared}
        rows = await connection.fetch(
            SQL["claim_attempts"],
            [lane.lane for lane, _ in shared],
            [most for _, most in shared],
            [test for lane, most in shared for test in lane.tests[:most]],
            self._bounds.webhook,
            self._bounds.upload,
            self._bounds.width,
        )
        return [msgspec.convert(dict(row) | {"tenant": tenants[row["lane"]]}, Attempt) for row in rows]


async def _enter(connection: Connection, wishes: Sequence[_Wish]) -> list[_Lane]:
    named = [wish.due.delivery_id for wish in wishes if wish.due is not None]
    ended = [wish.after for wish in wishes if wish.after is not None]
    rows = await connection.fetch(
        SQL["enter_lanes"], named, [attempt.lane for attempt in ended], [attempt.endpoint_id for attempt in ended]
    )
    return [msgspec.convert(dict(row), _Lane) for row in rows]


def _by_lane(wishes: Sequence[_Wish], found: Sequence[_Lane]) -> dict[str, list[_Wish]]:
    """Without those whose message names what is not there any more."""
    lane_of = {delivery_id: lane.lane for lane in found for delivery_id in lane.named}
    asking: dict[str, list[_Wish]] = {lane.lane: [] for lane in found}
    for wish in wishes:
        lane = lane_of.get(wish.due.delivery_id) if wish.due is not None else wish.after.lane if wish.after is not None else None
        if lane is not None:
            asking[lane].append(wish)
    return asking


def _hand_out(attempt: Attempt, asking: list[_Wish]) -> _Wish:
    """To the message that names it, so that it is in that one's trace; else to any."""
    own = (wish for wish in asking if wish.due is not None and wish.due.delivery_id == attempt.id)
    wish = next(own, asking[0])
    asking.remove(wish)
    return wish


async def _follow(connection: Connection, wish: _Wish) -> None:
    """Look again when claims run out whose holders may be dead: the message at hand may be all that is left of one."""
    named = (None, None) if wish.due is None else (wish.due.delivery_id, wish.due.attempt)
    for row in await connection.fetch(SQL["claimed_before"], *named, None if wish.after is None else wish.after.lane):
        attempt = row["attempt"] + 1
        await announce(connection, about(row["job_id"], row["endpoint_id"]), Due(row["id"], attempt), delay=row["wait"])
        log.debug("attempt not ours", delivery_id=str(row["id"]), attempt=attempt, again_in=row["wait"].total_seconds())
