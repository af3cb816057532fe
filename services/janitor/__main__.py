"""`python -m services.janitor`: expires, rescues, sweeps. `python -m services.janitor sweep [--dry-run]`: cleans up once and reports."""

import sys

import msgspec

from common import entry, health
from common.broker import Broker
from common.cleanup import Cleanup
from common.service import resources
from common.storage import Storage
from services.janitor.commands import carry_out, obey
from services.janitor.duties.audio import Audio
from services.janitor.duties.dead_letters import DeadLetters
from services.janitor.duties.expire import Expire
from services.janitor.duties.expired_uploads import ExpiredUploads
from services.janitor.duties.lift import Lift
from services.janitor.duties.measure import Measure
from services.janitor.duties.orphans import Orphans
from services.janitor.duties.reissue import Reissue
from services.janitor.duties.rescue import Rescue
from services.janitor.duties.uploads import Uploads
from services.janitor.duty import Duty
from services.janitor.schedule import every
from services.janitor.settings import Settings
from services.janitor.sweeper import Sweeper


async def serve(settings: Settings) -> None:
    """Run until told to stop."""
    async with resources("janitor", settings) as shared:
        life, stopping = shared.life, shared.life.stopping
        sweeper = Sweeper(shared.pool, stopping)
        cleanup = duties(settings, shared.storage, shared.broker)
        life.side("health", health.serve(shared.health, host=settings.health_host, port=settings.health_port))
        for urgent in (Rescue(), Reissue(shared.broker), Lift()):
            # Each in a loop of its own: a broker that hangs must not hold up the rescue.
            life.work(urgent.name, every(settings.rescue_interval, [urgent], sweeper, stopping))
        life.work("measure", every(settings.measure_interval, [Measure(shared.storage, settings.space)], sweeper, stopping))
        life.work("cleanup", every(settings.cleanup_interval, cleanup, sweeper, stopping))
        life.work("commands", obey(shared.broker, shared.pool, cleanup, sweeper, stopping))
        await life.run()


async def sweep_once(settings: Settings, *, dry_run: bool) -> None:
    """One round of cleaning up, reported on stdout: a JSON object a line for each duty."""
    async with resources("janitor", settings) as shared:
        sweeper = Sweeper(shared.pool, shared.life.stopping)
        request = Cleanup(dry_run=dry_run)
        for report in await carry_out(request, duties(settings, shared.storage, shared.broker), sweeper, shared.life.stopping):
            sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        shared.life.stopping.set()
        await shared.life.run()


def duties(settings: Settings, storage: Storage, broker: Broker) -> list[Duty]:
    """What is swept every `CLEANUP_INTERVAL_MINUTES` and on request."""
    return [
        Expire(storage),
        Audio(storage, settings.audio_retention),
        ExpiredUploads(storage),
        Uploads(storage, settings.stale_upload),
        Orphans(storage, settings.orphan_grace),
        DeadLetters(broker),
        Measure(storage, settings.space),
    ]


def main() -> None:
    settings = entry.settings("janitor", Settings)
    match sys.argv[1:]:
        case []:
            entry.run("janitor", serve(settings))
        case ["sweep"]:
            entry.run("janitor", sweep_once(settings, dry_run=False))
        case ["sweep", "--dry-run"]:
            entry.run("janitor", sweep_once(settings, dry_run=True))
        case _:
            sys.exit("usage: python -m services.janitor [sweep [--dry-run]]")


if __name__ == "__main__":
    main()
