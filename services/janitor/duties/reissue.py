"""Every job that may be claimed has a token on its way to a worker: what is missing is issued again.

A token is any `job.created` or `job.requeued` message: whoever gets one claims the best job there is. One too many finds nothing and is
acked; one too few leaves a job waiting for ever. So tokens are counted, not matched to jobs:

    missing = jobs that may be claimed - tokens in the outbox - messages ready in the queue

Unacked messages do not count. A worker holds its token until its job is done and then acks it, so it will claim nothing more; and should
the worker die, the broker's redelivery is one token too many, beside the one that the rescue issues.

Nothing stands still while it is counted, so jobs and outbox are counted in one snapshot before the queue and in another one after it, and
the smaller result counts: a token used in between is missed by the first only, one published in between by the second only. What both miss
is a token that has been delivered and not yet used, a matter of milliseconds. Hence only what was missing at two looks in a row is issued,
and only for jobs that have waited for a while. What is issued needlessly all the same stays in the queue, where it counts at the next look:
surplus tokens are never more than there are workers' slots.
"""

from collections.abc import AsyncGenerator
from datetime import timedelta

from common import topology
from common.broker import Broker
from common.database import Connection
from common.jobs import upkeep
from common.jobs.upkeep import Tokens
from services.janitor.duty import Counts, Sweep

PATIENCE = timedelta(seconds=5)
_LIMIT = 1_000


class Reissue:
    name = "reissue"

    def __init__(self, broker: Broker, patience: timedelta = PATIENCE) -> None:
        self._broker = broker
        self._patience = patience
        self._missing_before = 0

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        found = await self._count(sweep.connection)
        due = min(found, self._missing_before, _LIMIT)
        if not sweep.dry_run:
            self._missing_before = found
        jobs = []
        if due:
            jobs = await upkeep.reissue(sweep.connection, older_than=self._patience, limit=due)
        for job in jobs:
            sweep.tell(self.name, job_id=str(job.id))
        late = sweep.late(max(job.claim_after, job.queued_at or job.claim_after) for job in jobs)
        yield Counts(scanned=found, swept=len(jobs), late=late)

    async def _count(self, connection: Connection) -> int:
        before = await upkeep.tokens(connection, older_than=self._patience)
        if not before.waiting:
            return 0
        ready = await self._broker.ready(topology.TRANSCRIBER_JOBS)
        after = await upkeep.tokens(connection, older_than=self._patience)
        return min(missing(before, ready), missing(after, ready))


def missing(tokens: Tokens, ready: int) -> int:
    """How many tokens too few there are; none for jobs that have only just become claimable."""
    return max(0, min(tokens.waiting, tokens.claimable - tokens.unpublished - ready))
