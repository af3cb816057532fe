"""The other kind of delivery: a completed job's transcript is PUT to a pre-signed URL, as it is stored, byte for byte.

It passes from our store to theirs and is never held whole. What failed is tried again for as long as the URL says that it lives, by the
database's clock; with little of its life left, in half of what is left. A store's refusals are told apart, since the submitter can mend
them only by knowing which it was: signatures do not become valid by waiting. Nor is our own store's outage taken for his: it spends none of
the attempts, and when it lasts for too long, or for longer than the URL lives, the delivery fails with a code that says whose it was.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Self, assert_never

import msgspec

from common.database import Pool
from common.errors import PermanentError, TransientError
from common.storage import Storage
from services.notifier import deliveries, presigned
from services.notifier.answer import USED_UP, Again, Answer, Answered, Failed, Postponed, Unanswered, Verdict
from services.notifier.answer import judge as following
from services.notifier.deliveries import Attempt
from services.notifier.health import PATIENCE
from services.notifier.outgoing import Outgoing
from services.notifier.persistence import persist
from services.notifier.schedule import Schedule
from services.notifier.ways import Sent

LEAST = timedelta(seconds=5)
"""With less of the URL's life left, another attempt is not worth it."""

_SOONEST, _LATEST = timedelta(seconds=30), timedelta(hours=1)

_GONE = Unanswered(error="the job's result is not there any more", code="result_gone")
_UNAVAILABLE = Failed("result_unavailable", "our own store did not give the result in time")
_EXPIRED = Failed("upload_url_expired", "the pre-signed URL has expired; give one that lives for longer than the job takes")
_EARLY = re.compile(r"not (yet )?valid yet|not yet valid|TooSkewed|NotYetValid", re.IGNORECASE)
_LATER = frozenset({408, 425, 429})
_LATER_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "OperationAborted",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
"""What S3 and stores like it answer with 400, 403 or 409, and may accept the next time: their own SDKs repeat such requests."""


class Uploads:
    """Sends, and judges what came of it."""

    method = "PUT"

    def __init__(self, *, outgoing: Outgoing, pool: Pool, storage: Storage, schedule: Schedule) -> None:
        self._outgoing = outgoing
        self._pool = pool
        self._storage = storage
        self._schedule = schedule

    async def send(self, attempt: Attempt) -> Sent:
        return Sent(await self._answer(attempt))

    async def _answer(self, attempt: Attempt) -> Answer:
        """A URL that has expired is not called."""
        until = presigned.lives_until(attempt.endpoint)
        if until is not None and until <= attempt.claimed_at:
            why = _EXPIRED if attempt.postponed_since is None else _UNAVAILABLE
            return Unanswered(error=why.reason, code=why.code)
        job = await persist(self._pool, lambda connection: deliveries.job_of(connection, attempt))
        if job is None or job.result is None:
            return _GONE
        key = job.result.keys["transcript"]
        passing = _Passing(self._storage.read(key))
        try:
            size = await self._storage.size(key)
            await passing.begin()
            answer = await self._outgoing.put(attempt.endpoint, passing, size)
        except PermanentError:
            return _GONE
        except TransientError as error:
            return Unanswered(error=f"our own store: {error.message}", ours=True)
        finally:
            await passing.aclose()
        match answer:
            case Answered():
                return msgspec.structs.replace(answer, beginning=presigned.shown(answer.beginning, attempt.endpoint))
            case Unanswered():
                return answer
        assert_never(answer)

    def judge(self, attempt: Attempt, answer: Answer, *, now: datetime, chance: float) -> Verdict:
        until = presigned.lives_until(attempt.endpoint)
        if isinstance(answer, Unanswered) and answer.ours:
            return postponed(timedelta(0) if attempt.postponed_since is None else now - attempt.postponed_since, until=until, now=now)
        return judge(answer, attempt.turn, self._schedule, until=until, now=now, chance=chance)


def judge(answer: Answer, turn: int, schedule: Schedule, *, until: datetime | None, now: datetime, chance: float) -> Verdict:
    """What follows from the answer to the `turn`-th attempt (from 1) at a URL that lives `until` then."""
    verdict = following(answer, turn, schedule, now=now, chance=chance, refusal=_refusal)
    if until is None or not (isinstance(verdict, Again) or verdict == USED_UP):
        return verdict
    left = (until - now) / 2
    if left < LEAST:
        return _EXPIRED
    return Again(min(verdict.delay, left) if isinstance(verdict, Again) else left)


def postponed(away: timedelta, *, until: datetime | None, now: datetime) -> Postponed | Failed:
    """What follows when our own store has not given the result for as long as `away`: it is asked again after as long once more."""
    delay = min(max(away, _SOONEST), _LATEST)
    if until is not None:
        delay = min(delay, (until - now) / 2)
    return _UNAVAILABLE if away >= PATIENCE or delay < LEAST else Postponed(delay)


def _refusal(answered: Answered) -> Failed | None:
    """Why the store will not take it, however often it is asked; None when it may later."""
    status, said = answered.status, answered.beginning
    if status >= 500 or status in _LATER or said.partition(":")[0] in _LATER_CODES or _EARLY.search(said):
        return None
    if "expired" in said.lower():
        return _EXPIRED
    if "SignatureDoesNotMatch" in said:
        return Failed("upload_signature_mismatch", "the URL was not signed for a PUT with the content type application/json")
    if status in {401, 403}:
        return Failed("upload_forbidden", "the store does not allow it; see that whoever signed the URL may write there")
    if status == 405:
        return Failed("upload_method_not_allowed", "what is at the URL takes no PUT")
    return Failed("upload_refused", f"the store answered {status}")


class _Passing:
    """An object on its way through. A request that ends early leaves its reader in the middle of a step, which closing waits for."""

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._chunks = chunks
        self._lock = asyncio.Lock()
        self._ahead: list[bytes] = []

    async def begin(self) -> None:
        """Have what comes first: nobody is sent the beginning of a request because of a result that cannot be read."""
        self._ahead.append(await anext(self, b""))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        async with self._lock:
            return self._ahead.pop() if self._ahead else await anext(self._chunks)

    async def aclose(self) -> None:
        async with self._lock:
            await self._chunks.aclose()
