"""Feeds without a database: who is told what, and what is kept."""

import asyncio
from contextlib import ExitStack

import msgspec
import pytest

from common import ids
from common.ids import JobId
from common.jobs.job import Status
from common.jobs.partials import PartialSegment, payloads
from common.jobs.state import JobState
from services.ingest.feeds import Feeds, News, Partial
from services.ingest.problems import Problem
from services.ingest.watching import watched

QUEUED = JobState(id=JobId(ids.new()), revision=3, status=Status.QUEUED, stage=None, progress=0, attempt=0, error=None)


def later(by: int, status: Status = Status.PROCESSING) -> JobState:
    return msgspec.structs.replace(QUEUED, revision=QUEUED.revision + by, status=status)


async def all_news(feeds: Feeds, seen: int | None, *offers: JobState) -> list[int]:
    """The ids that a watcher gets while the states are offered one after the other, each when the one before has been taken."""
    with feeds.watching(QUEUED, "a") as feed:
        waiting = iter(offers)
        found = []
        async with asyncio.timeout(60):
            async for news in feeds.follow(feed, seen, asyncio.Event()):
                assert isinstance(news, News)
                found.append(news.id)
                if offer := next(waiting, None):
                    feed.offer(offer)
        return found


async def test_a_watcher_gets_the_state_and_what_follows_until_the_end() -> None:
    """The state it came with, then each later one; the final one is the last."""
    assert await all_news(Feeds(), None, later(1), later(2, Status.COMPLETED)) == [3, 4, 5]


async def test_what_was_seen_is_not_repeated() -> None:
    """One who has seen the state gets only later ones; who has seen the end gets nothing."""
    feeds = Feeds()
    ended = later(0, Status.FAILED)
    with feeds.watching(ended, "a") as feed:
        assert [news async for news in feeds.follow(feed, ended.revision, asyncio.Event())] == []


async def test_a_slow_watcher_skips_to_the_latest() -> None:
    """However many states passed while it was busy, it gets the last of them, and earlier ones that arrive late do not undo it."""
    feeds = Feeds()
    with feeds.watching(QUEUED, "a") as feed:
        following = feeds.follow(feed, None, asyncio.Event())
        assert isinstance(first := await anext(following), News)
        for state in (later(1), later(5, Status.COMPLETED), later(2)):
            feed.offer(state)
        assert isinstance(last := await anext(following), News)
        assert (first.id, last.id) == (3, 8)
        assert await anext(following, None) is None


async def test_a_deleted_job_ends_its_feed() -> None:
    """The last state is told once more, as the end."""
    feeds = Feeds()
    with feeds.watching(QUEUED, "a") as feed:
        following = feeds.follow(feed, QUEUED.revision, asyncio.Event())
        feed.end()
        assert isinstance(gone := await anext(following), News)
        assert (gone.deleted, gone.change.final, gone.id) == (True, True, 4)
        assert await anext(following, None) is None


async def test_nothing_is_kept_of_jobs_that_nobody_watches() -> None:
    """Watchers of a job share its feed, the last one to leave takes it along, and notifications of other jobs leave no trace."""
    feeds = Feeds(most=2)
    with feeds.watching(QUEUED, "a") as one:
        with feeds.watching(QUEUED, "b") as other:
            assert one is other
            crowded = feeds.full("c")
        assert crowded
        assert not feeds.full("c")
    feeds.notify(str(ids.new()))
    feeds.notify(str(QUEUED.id))
    assert not feeds._feeds
    assert feeds._stale <= {QUEUED.id}
    with feeds.watching(later(2), "a") as again:
        assert again is not one


def heard(feeds: Feeds, *texts: str) -> None:
    for text in texts:
        for payload in payloads(QUEUED.id, [PartialSegment(start=1.0, end=2.0, text=text)]):
            feeds.hear(payload)


def text(told: News | Partial | None) -> str:
    assert isinstance(told, Partial)
    found: str = msgspec.json.decode(told.data)["text"]
    return found


async def test_what_is_heard_passes_by() -> None:
    """States go before it, nothing comes after the final one, and one who comes later sees none of it."""
    feeds = Feeds()
    with feeds.watching(QUEUED, "a") as feed:
        following = feeds.follow(feed, None, asyncio.Event())
        assert isinstance(await anext(following), News)
        heard(feeds, "a", "b")
        feed.offer(later(1))
        assert isinstance(await anext(following), News)
        assert text(await anext(following)) == "a"
        feed.offer(later(2, Status.COMPLETED))
        assert text(await anext(following)) == "b"
        assert isinstance(last := await anext(following), News)
        assert last.change.final
        assert await anext(following, None) is None
        assert [type(told) async for told in feeds.follow(feed, None, asyncio.Event())] == [News]


async def test_a_slow_watcher_misses_what_was_heard_before() -> None:
    """However much is heard while it is busy, little is kept; it goes on with the oldest of that. Unwatched jobs keep nothing."""
    feeds = Feeds()
    heard(feeds, "nobody")
    feeds.hear("")
    assert not feeds._feeds
    with feeds.watching(QUEUED, "a") as feed:
        following = feeds.follow(feed, None, asyncio.Event())
        await anext(following)
        heard(feeds, *(str(number) for number in range(1_000)))
        seen = [text(await anext(following)) for _ in range(len(feed._partials))]
        assert seen == [str(number) for number in range(1_000 - len(seen), 1_000)]
        assert len(seen) < 100


async def test_one_more_than_there_may_be() -> None:
    """A process that is full of watchers says so, and when to come again, before it asks the database."""
    feeds = Feeds(most=1)
    with feeds.watching(QUEUED, "a"), pytest.raises(Problem) as refused:
        await watched(None, feeds, QUEUED.id, "a")  # type: ignore[arg-type]  # nobody asks it
    assert (refused.value.status, refused.value.code, refused.value.headers) == (503, "too_many_watchers", {"Retry-After": "5"})


async def test_one_tenant_does_not_take_every_place() -> None:
    """Who has three quarters of them is told that they are taken; others still come in, and so does that one when a watcher leaves."""
    feeds = Feeds(most=4)
    with ExitStack() as watchers:
        for _ in range(3):
            assert not feeds.full("a")
            last = watchers.enter_context(feeds.watching(QUEUED, "a"))
        assert last
        assert feeds.full("a")
        assert not feeds.full("b")
        with pytest.raises(Problem, match="too_many_watchers"):
            await watched(None, feeds, QUEUED.id, "a")  # type: ignore[arg-type]  # nobody asks it
    assert not feeds.full("a")
    assert not feeds._watchers


async def test_a_quiet_stream_is_kept_alive() -> None:
    """While nothing happens there is a heartbeat now and then, and what happens after it is told as ever."""
    feeds = Feeds(heartbeat=0.001)
    with feeds.watching(QUEUED, "a") as feed:
        following = feeds.follow(feed, QUEUED.revision, asyncio.Event())
        assert [await anext(following), await anext(following)] == [None, None]
        feed.offer(later(1))
        assert isinstance(news := await anext(following), News)
        assert news.id == 4
