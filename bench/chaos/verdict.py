"""What must be so when everything has come to rest: told from what the clients, the receiver, the tap and the logs were told."""

from collections.abc import Iterable

import msgspec

from bench.chaos.client import FINAL, Clients, Tracked
from bench.chaos.logs import Logs
from bench.chaos.receiver import Receiver
from bench.chaos.tap import ENDS, Tap


class Finding(msgspec.Struct, frozen=True):
    """`wrong` are those that it is not so for."""

    what: str
    looked_at: int
    wrong: list[str]


def of_clients(clients: Clients) -> Iterable[Finding]:
    """From the API's answers."""
    yield Finding("no answer contradicted another", clients.requests, clients.wrong)
    there = [job for job in clients.jobs if not job.deleted]
    yield Finding("accepted submissions came to an end", len(there), [_told(job) for job in there if job.status not in FINAL])
    broken = [job for job in there if job.kind == "broken"]
    yield Finding("what cannot be done failed, and says why", len(broken), [_told(job) for job in broken if job.code != "broken_recording"])
    cancelled = [job for job in there if job.cancelled]
    yield Finding("what was cancelled stayed so", len(cancelled), [_told(job) for job in cancelled if job.status != "cancelled"])
    sound = [job for job in there if job.kind == "plain"]
    yield Finding("what can be done was completed", len(sound), [_told(job) for job in sound if job.status != "completed"])
    yield Finding(
        "transcripts are there, each of its own recording", sum(job.read for job in sound), [_told(job) for job in sound if not job.read]
    )
    due = [job for job in there if job.kind == "expire" and job.status not in {"failed", "cancelled"}]
    yield Finding("what was to expire has", len(due), [_told(job) for job in due if job.status != "expired"])


def of_events(jobs: list[Tracked], tap: Tap) -> Iterable[Finding]:
    """From what another system heard."""
    ends = {job.id: [each for each in tap.events[job.id].values() if each[0] in ENDS] for job in jobs}
    wrong = [f"{_told(job)}: {ends[job.id]}" for job in jobs if len(ends[job.id]) != 1]
    yield Finding("exactly one event tells of a job's end", len(jobs), wrong)
    kept = [job for job in jobs if not job.deleted and job.status in FINAL - {"expired"}]
    contradicted = [_told(job) for job in kept if [status for _, status in ends[job.id]] != [job.status]]
    yield Finding("and tells what the API tells", len(kept), contradicted)
    gone = [job for job in jobs if job.deleted]
    untold = [_told(job) for job in gone if not any(kind == "job.deleted" for kind, _ in tap.events[job.id].values())]
    yield Finding("what was deleted was announced as deleted", len(gone), untold)


def of_webhooks(jobs: list[Tracked], tap: Tap, receiver: Receiver) -> Iterable[Finding]:
    """Every job that is there and asked to be told was told, under its event's id."""
    due = [job for job in jobs if job.webhook and not job.deleted]
    missing = []
    for job in due:
        ends = {(event_id, kind) for event_id, (kind, _) in tap.events[job.id].items() if kind in ENDS}
        if not ends or not ends <= receiver.heard[job.tag]:
            missing.append(f"{_told(job)}: {ends} {receiver.heard[job.tag]}")
    yield Finding("webhooks that are due were received", len(due), missing)
    yield Finding("and every one was signed", receiver.requests.total(), receiver.invalid)


def of_logs(logs: Logs) -> Iterable[Finding]:
    """From what the workers wrote themselves: one that lost its lease may have worked on, and must not have believed that it was done."""
    twice = [f"{job}: {count} times" for job, count in logs.completed.items() if count > 1]
    yield Finding("no job was completed by two workers", len(logs.completed), twice)
    yield Finding("nobody met a failure that has no name", logs.complaints, logs.unforeseen)


def _told(job: Tracked) -> str:
    return f"{job.id} ({job.kind}, {job.status}{f', {job.code}' if job.code else ''})"
