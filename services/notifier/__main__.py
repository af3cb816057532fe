"""`python -m services.notifier`: tells those who asked for it what became of a job, by webhook."""

from common import entry, health, topology
from common.service import resources
from services.notifier import post
from services.notifier.attempts import Attempts
from services.notifier.consumer import consume
from services.notifier.intake import Intake
from services.notifier.settings import Settings
from services.notifier.signature import Signer

_INTAKE_SLOTS = 4
"""Enough: an event costs one short transaction."""


async def serve(settings: Settings) -> None:
    """Run until told to stop."""
    async with (
        resources("notifier", settings) as shared,
        post.opened(limit=settings.timeout, allowed=settings.webhook_allow_networks) as send,
    ):
        intake = Intake(shared.pool)
        attempts = Attempts(
            pool=shared.pool,
            post=send,
            signer=Signer(settings.webhook_secrets),
            schedule=settings.schedule,
            timeout=settings.timeout,
        )
        life, broker = shared.life, shared.broker
        life.side("health", health.serve(shared.health, host=settings.health_host, port=settings.health_port))
        for slot in range(_INTAKE_SLOTS):
            life.work(f"intake-{slot}", consume(broker, topology.NOTIFIER_EVENTS, intake.handle, stopping=life.stopping))
        for slot in range(settings.webhook_concurrency):
            life.work(f"attempt-{slot}", consume(broker, topology.NOTIFIER_DELIVERIES, attempts.handle, stopping=life.stopping))
        await life.run()


def main() -> None:
    settings = entry.settings("notifier", Settings)
    entry.run("notifier", serve(settings))


if __name__ == "__main__":
    main()
