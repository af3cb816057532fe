"""The first kind of delivery: a signed POST that tells of an event."""

from datetime import datetime

from common import tracing
from common.webhook import TEST
from services.notifier.answer import Answer, Verdict, judge
from services.notifier.bodies import Bodies
from services.notifier.deliveries import Attempt
from services.notifier.outgoing import Outgoing
from services.notifier.schedule import Schedule
from services.notifier.signature import Signer
from services.notifier.ways import Sent

_ONCE = Schedule(())


class Webhooks:
    """`signer` is for deliveries to which neither an endpoint nor a tenant has a secret of its own."""

    method = "POST"

    def __init__(self, *, outgoing: Outgoing, bodies: Bodies, signer: Signer, schedule: Schedule) -> None:
        self._outgoing = outgoing
        self._bodies = bodies
        self._signer = signer
        self._schedule = schedule

    async def send(self, attempt: Attempt) -> Sent:
        body = await self._bodies.of(attempt)
        signer = Signer(attempt.secrets) if attempt.secrets else self._signer
        headers = signer.headers(str(attempt.event_id), int(attempt.claimed_at.timestamp()), body.data)
        traceparent = tracing.current_traceparent()
        if traceparent is not None:
            headers["traceparent"] = traceparent
        return Sent(await self._outgoing.post(attempt.endpoint, body.data, headers), body.keep)

    def judge(self, attempt: Attempt, answer: Answer, *, now: datetime, chance: float) -> Verdict:
        schedule = _ONCE if attempt.event_type == TEST else self._schedule
        return judge(answer, attempt.turn, schedule, now=now, chance=chance)
