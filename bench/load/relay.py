"""`python -m bench.load.relay`: what every service has, its relay among it, and nothing else."""

from common import entry, health
from common.service import resources
from common.settings import Common


async def serve(settings: Common) -> None:
    """Publish what the outbox holds until told to stop."""
    async with resources("relay", settings) as shared:
        shared.life.side("health", health.serve(shared.health, host=settings.health_host, port=settings.health_port))
        await shared.life.run()


if __name__ == "__main__":
    entry.run("relay", serve(entry.settings("relay", Common)))
