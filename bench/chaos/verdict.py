"""What must be so when everything has come to rest: told from what the clients, the receiver, the tap and the logs were told.

A sound recording fails for nobody: not for one who cancels too late, who deletes it, or who lets it expire.
"""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from bench.chaos.client import FINAL, Clients, Kind, Tracked
from bench.chaos.logs import Logs
from bench.chaos.receiver import Receiver
from bench.chaos.tap import ENDS, Tap

_MAY_END: Mapping[Kind, frozenset[str]] = {
    "plain": frozenset({"completed"}),
    "broken": frozenset({"failed"}),
    "cancel": frozenset({"completed", "cancelled"}),
    "delete": frozenset({"completed", "cancelled"}),
    "expire": frozenset({"completed"}),
}
"""As what a worker or a client ends it; what is to expire does so afterwards."""


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
    due = [job for job in there if job.kind == "expire"]
    yield Finding("what was to expire has", len(due), [_told(job) for job in due if job.status != "expired"])
    left = [job for job in there if job.kind in {"plain", "cancel"} and not job.cancelled]
    yield Finding("what can be done was completed", len(left), [_told(job) for job in left if job.status != "completed"])
    done = [job for job in there if job.kind == "plain" or (job.kind == "cancel" and job.status == "completed")]
    yield Finding(
        "transcripts are there, each of its own recording", sum(job.read for job in done), [_told(job) for job in done if not job.read]
    )


def of_events(jobs: list[Tracked], tap: Tap) -> Iterable[Finding]:
    """From what another system heard."""
    ends = {job.id: _ends(job, tap) for job in jobs}
    wrong = [f"{_told(job)}: {ends[job.id]}" for job in jobs if len(ends[job.id]) != 1]
    yield Finding("exactly one event tells of a job's end", len(jobs), wrong)
    unlike = [
        f"{_told(job)}: {kind}, {status}"
        for job in jobs
        for kind, status in ends[job.id].values()
        if status not in _MAY_END[job.kind] or kind != f"job.{status}"
    ]
    yield Finding("an end is one that such a job may have", len(jobs), unlike)
    kept = [job for job in jobs if not job.deleted and job.status in FINAL - {"expired"}]
    contradicted = [_told(job) for job in kept if [status for _, status in ends[job.id].values()] != [job.status]]
    yield Finding("and tells what the API tells", len(kept), contradicted)
    gone = {job.id for job in jobs if job.deleted}
    expired = {job.id for job in jobs if job.kind == "expire"}
    # What is being deleted is past its time first: where a deletion breaks off, a janitor may be there before the client that asks again.
    yield _once("job.expired", "what expired was announced as expired, once", expired, jobs, tap, may=gone)
    yield _once("job.deleted", "what was deleted was announced as deleted, once", gone, jobs, tap)


def of_webhooks(jobs: list[Tracked], tap: Tap, receiver: Receiver) -> Iterable[Finding]:
    """Every job that is there and asked to be told was told how it ended, under its event's id; and nobody was told anything else."""
    due = [job for job in jobs if job.webhook and not job.deleted]
    missing = [f"{_told(job)}: {_events(job, tap)}, heard {_heard(job, receiver)}" for job in due if not _was_told(job, tap, receiver)]
    yield Finding("webhooks that are due were received", len(due), missing)
    more = {job.id: _heard(job, receiver) - (_events(job, tap) if job.webhook else frozenset()) for job in jobs}
    yield Finding("and none that tells something else", len(jobs), [f"{_told(job)}: {more[job.id]}" for job in jobs if more[job.id]])
    yield Finding("and every one was signed", receiver.requests.total(), receiver.invalid)


def of_logs(logs: Logs) -> Iterable[Finding]:
    """From what the workers wrote themselves: one that lost its lease may have worked on, and must not have believed that it was done."""
    twice = [f"{job}: {count} times" for job, count in logs.completed.items() if count > 1]
    yield Finding("no job was completed by two workers", len(logs.completed), twice)
    yield Finding("nobody met a failure that has no name", logs.complaints, logs.unforeseen)


def _ends(job: Tracked, tap: Tap) -> dict[str, tuple[str, str]]:
    """Events that told of the job's end, by their id: the type, and the job's status in it."""
    return {event_id: told for event_id, told in tap.events[job.id].items() if told[0] in ENDS}


def _events(job: Tracked, tap: Tap) -> frozenset[tuple[str, str]]:
    """The same, as webhooks tell them: id and type."""
    return frozenset((event_id, kind) for event_id, (kind, _) in _ends(job, tap).items())


def _heard(job: Tracked, receiver: Receiver) -> frozenset[tuple[str, str]]:
    return frozenset(receiver.heard[job.tag])


def _was_told(job: Tracked, tap: Tap, receiver: Receiver) -> bool:
    """As the API has it: an expired job had been completed."""
    heard = _heard(job, receiver) & _events(job, tap)
    return {kind for _, kind in heard} == {f"job.{'completed' if job.status == 'expired' else job.status}"}


def _once(kind: str, what: str, due: set[str], jobs: list[Tracked], tap: Tap, *, may: Collection[str] = ()) -> Finding:
    """Each that is due has one such event, each that may have one no more than that, and no other job has any."""
    counts = {job.id: sum(each == kind for each, _ in tap.events[job.id].values()) for job in jobs}
    wrong = [job for job in jobs if counts[job.id] not in ({1} if job.id in due else {0, 1} if job.id in may else {0})]
    return Finding(what, len(due), [f"{_told(job)}: {counts[job.id]} times" for job in wrong])


def _told(job: Tracked) -> str:
    return f"{job.id} ({job.kind}, {job.status}{f', {job.code}' if job.code else ''})"
