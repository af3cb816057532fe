"""`python -m services.janitor`: expires, rescues, sweeps. `python -m services.janitor sweep [--dry-run]`: cleans up once and reports."""

import os
import sys

import msgspec

from common import entry, health
from common.broker import Broker
from common.cleanup import Cleanup
from common.service import resources
from common.storage import Storage
from services.janitor.commands import carry_out, obey
from services.janitor.duties import retell
from services.janitor.duties.audio import Audio
from services.janitor.duties.dead_letters import DeadLetters
from services.janitor.duties.deliveries import Deliveries
from services.janitor.duties.expire import Delivered, Expire
from services.janitor.duties.expired_uploads import ExpiredUploads
from services.janitor.duties.idempotency_keys import IdempotencyKeys
from services.janitor.duties.lift import Lift
from services.janitor.duties.lost import Lost
from services.janitor.duties.measure import Measure
from services.janitor.duties.orphans import Orphans
from services.janitor.duties.reannounce import Reannounce
from services.janitor.duties.reissue import Reissue
from services.janitor.duties.rescue import Rescue
from services.janitor.duties.retell import Retell
from services.janitor.duties.tombstones import Tombstones
from services.janitor.duties.uploads import Uploads
from services.janitor.duty import Duty
from services.janitor.schedule import every
from services.janitor.settings import Settings
from services.janitor.sweeper import Sweeper

_NICE = 10
"""Nobody waits for a sweep: where processor time is scarce, requests and recordings go first."""


async def serve(settings: Settings) -> None:
    """Run until told to stop."""
    async with resources("janitor", settings) as shared:
        life, stopping = shared.life, shared.life.stopping
        sweeper = Sweeper(shared.pool, stopping)
        regular, reconciling = clearing(settings, shared.storage, shared.broker), comparing(settings, shared.storage)
        measure = Measure(shared.storage, settings.space)
        life.side("health", health.serve(shared.health, host=settings.health_host, port=settings.health_port))
        audio = Audio(shared.storage, settings.audio_retention, until_transcribed=settings.delete_audio_after_success)
        delivered = Delivered(shared.storage, settings.delivery_retention)
        for urgent in (Rescue(), Reissue(shared.broker), Reannounce(shared.broker), Lift(), delivered, audio):
            # Each in a loop of its own: a broker or a store that hangs must not hold up the rescue.
            life.work(urgent.name, every(settings.rescue_interval, [urgent], sweeper, stopping, longest=settings.cleanup_interval))
        life.work("retell", every(retell.PAUSE, [Retell(shared.broker, settings.delivery_retention)], sweeper, stopping))
        life.work("measure", every(settings.measure_interval, [measure], sweeper, stopping))
        life.work("cleanup", every(settings.cleanup_interval, regular, sweeper, stopping))
        life.work("reconcile", every(settings.reconcile_interval, reconciling, sweeper, stopping))
        life.work("commands", obey(shared.broker, shared.pool, [*regular, *reconciling, measure], sweeper, stopping))
        await life.run()


async def sweep_once(settings: Settings, *, dry_run: bool) -> None:
    """One round of cleaning up, reported on stdout: a JSON object a line for each duty."""
    async with resources("janitor", settings) as shared:
        sweeper = Sweeper(shared.pool, shared.life.stopping)
        request = Cleanup(dry_run=dry_run)
        everything = [
            *clearing(settings, shared.storage, shared.broker),
            *comparing(settings, shared.storage),
            Measure(shared.storage, settings.space),
        ]
        for report in await carry_out(request, everything, sweeper, shared.life.stopping):
            sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        shared.life.stopping.set()
        await shared.life.run()


def clearing(settings: Settings, storage: Storage, broker: Broker) -> list[Duty]:
    """What is swept every `CLEANUP_INTERVAL_MINUTES`, and on request."""
    return [
        Expire(storage, settings.delivery_retention),
        Audio(storage, settings.audio_retention, until_transcribed=settings.delete_audio_after_success),
        ExpiredUploads(storage),
        Uploads(storage, settings.stale_upload),
        DeadLetters(broker, settings.dead_letter_retention),
        Deliveries(settings.delivery_retention),
        Tombstones(settings.tombstone_retention),
        IdempotencyKeys(),
    ]


def comparing(settings: Settings, storage: Storage) -> list[Duty]:
    """What goes through all that is stored, every `RECONCILE_INTERVAL_HOURS`, and on request."""
    return [Orphans(storage, settings.orphan_grace), Lost(storage)]


def main() -> None:
    os.nice(_NICE)
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
