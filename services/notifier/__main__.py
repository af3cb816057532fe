"""`python -m services.notifier`: tells those who asked for it what became of a job, by webhook and by upload."""

from common import entry, health, topology
from common.service import resources
from services.notifier import outgoing
from services.notifier.attempts import Attempts
from services.notifier.bodies import Bodies
from services.notifier.consumer import consume
from services.notifier.intake import Intake
from services.notifier.settings import Settings
from services.notifier.signature import Signer
from services.notifier.uploads import Uploads
from services.notifier.webhooks import Webhooks

_INTAKE_AT_ONCE = 4
"""Enough: an event costs one short transaction."""


async def serve(settings: Settings) -> None:
    """Run until told to stop."""
    async with (
        resources("notifier", settings) as shared,
        outgoing.opened(limit=settings.timeout, allowed=settings.webhook_allow_networks) as requests,
    ):
        intake = Intake(shared.pool)
        bodies = Bodies(pool=shared.pool, storage=shared.storage, most_bytes=settings.webhook_max_result_bytes)
        signer = Signer(settings.webhook_secrets)
        attempts = Attempts(
            pool=shared.pool,
            ways={
                "webhook": Webhooks(outgoing=requests, bodies=bodies, signer=signer, schedule=settings.schedule),
                "upload": Uploads(outgoing=requests, pool=shared.pool, storage=shared.storage, schedule=settings.schedule),
            },
            bounds=settings.bounds,
            stopping=shared.life.stopping,
        )
        life, broker = shared.life, shared.broker
        life.side("health", health.serve(shared.health, host=settings.health_host, port=settings.health_port))
        for queue, handle, at_once in (
            (topology.NOTIFIER_EVENTS, intake.handle, _INTAKE_AT_ONCE),
            (topology.NOTIFIER_DELIVERIES, attempts.handle, settings.webhook_concurrency),
        ):
            life.work(queue.name, consume(broker, queue, handle, at_once=at_once, stopping=life.stopping))
        await life.run()


def main() -> None:
    settings = entry.settings("notifier", Settings)
    entry.run("notifier", serve(settings))


if __name__ == "__main__":
    main()
