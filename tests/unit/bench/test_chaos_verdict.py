"""Each finding of the chaos bench can say that something is wrong, and says it of what is wrong alone."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.chaos import leaks, verdict
from bench.chaos.client import Clients, Kind, Tracked
from bench.chaos.leaks import Held, Process
from bench.chaos.logs import Logs
from bench.chaos.receiver import Receiver
from bench.chaos.tap import Tap
from bench.chaos.verdict import Finding

_ENDS: dict[Kind, str] = {"plain": "completed", "broken": "failed", "cancel": "cancelled", "delete": "cancelled", "expire": "completed"}


class Heard:
    """A run in which all was well, one job of each kind; a job's tag and id is its kind."""

    def __init__(self, log: Path) -> None:
        self.clients = Clients("http://nowhere", "http://nowhere", Receiver(1, ()), seed=1)
        self.receiver = Receiver(1, ())
        self.tap = Tap("amqp://nowhere")
        self.lines: list[dict[str, Any]] = []
        self._log = log
        for kind, end in _ENDS.items():
            code = "broken_recording" if end == "failed" else None
            job = Tracked(tag=kind, kind=kind, id=kind, sha256="", webhook=kind != "plain", status=end, code=code, read=end == "completed")
            self.clients.jobs.append(job)
            self.say(kind, f"job.{end}", end)
            if job.webhook:
                self.tell(kind, f"job.{end}")
            if end == "completed":
                self.write("job completed", job_id=kind)
        self.change("cancel", cancelled=True)
        self.change("delete", deleted=True)
        self.say("delete", "job.deleted", "cancelled")
        self.change("expire", status="expired")
        self.say("expire", "job.expired", "expired")

    def change(self, name: str, **what: object) -> None:
        [job] = [job for job in self.clients.jobs if job.id == name]
        for attribute, value in what.items():
            setattr(job, attribute, value)

    def say(self, name: str, kind: str, status: str, event_id: str | None = None) -> None:
        """To the other system on the broker."""
        headers = {"ce-subject": name, "ce-id": event_id or f"{name} {kind}", "ce-type": kind}
        self.tap.keep(headers, msgspec.json.encode({"status": status}))

    def tell(self, name: str, kind: str, event_id: str | None = None) -> None:
        """To the receiver of webhooks."""
        self.receiver.heard[name].add((event_id or f"{name} {kind}", kind))

    def forget(self, name: str) -> None:
        """What was said of a job."""
        self.tap.events[name].clear()

    def write(self, event: str, level: str = "info", **told: object) -> None:
        self.lines.append({"event": event, "level": level, **told})

    def findings(self) -> Iterable[Finding]:
        jobs = self.clients.jobs
        yield from verdict.of_clients(self.clients)
        yield from verdict.of_events(jobs, self.tap)
        yield from verdict.of_webhooks(jobs, self.tap, self.receiver)
        self._log.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in self.lines))
        logs = Logs([self._log])
        logs.read()
        yield from verdict.of_logs(logs)

    def wrong(self) -> set[str]:
        return {finding.what for finding in self.findings() if finding.wrong}


@pytest.fixture
def heard(tmp_path: Path) -> Heard:
    return Heard(tmp_path / "service.log")


def test_nothing_is_wrong_where_nothing_is(heard: Heard) -> None:
    """Every finding has looked at something, and holds nothing against it; a cancel may come too late, and a janitor before a deletion."""
    late = Tracked(tag="late", kind="cancel", id="late", sha256="", webhook=False, status="completed", read=True)
    heard.clients.jobs.append(late)
    heard.say("late", "job.completed", "completed")
    heard.say("delete", "job.expired", "expired")
    assert heard.wrong() == set()


def test_what_is_said_twice_is_said_once(heard: Heard) -> None:
    """A repeated message is the same event."""
    heard.say("plain", "job.completed", "completed")
    assert heard.tap.repeated == 1
    assert heard.wrong() == set()


def _fail(name: str) -> Callable[[Heard], None]:
    """A job ends as failed, for clients, other systems and receivers alike."""

    def lie(heard: Heard) -> None:
        heard.change(name, status="failed", code="source_missing")
        heard.forget(name)
        heard.say(name, "job.failed", "failed")
        if name == "delete":
            heard.say(name, "job.deleted", "failed")
        if heard.receiver.heard.pop(name, None):
            heard.tell(name, "job.failed")

    return lie


def _all(*lies: Callable[[Heard], object]) -> Callable[[Heard], None]:
    """One after the other."""

    def lie(heard: Heard) -> None:
        for each in lies:
            each(heard)

    return lie


LIES: dict[str, tuple[Callable[[Heard], object], set[str]]] = {
    "two answers": (lambda heard: heard.clients.wrong.append("was completed, and is failed"), {"no answer contradicted another"}),
    "no end": (
        lambda heard: heard.change("plain", status="processing"),
        {"accepted submissions came to an end", "what can be done was completed"},
    ),
    "another code": (lambda heard: heard.change("broken", code="stumbled"), {"what cannot be done failed, and says why"}),
    "a sound one failed": (_fail("plain"), {"what can be done was completed", "an end is one that such a job may have"}),
    "failed after a cancel that was too late": (
        _all(_fail("cancel"), lambda heard: heard.change("cancel", cancelled=False)),
        {"what can be done was completed", "an end is one that such a job may have"},
    ),
    "a cancelled one failed": (_fail("cancel"), {"what was cancelled stayed so", "an end is one that such a job may have"}),
    "a deleted one failed": (_fail("delete"), {"an end is one that such a job may have"}),
    "what was to expire failed": (
        _fail("expire"),
        {
            "what was to expire has",
            "an end is one that such a job may have",
            "what expired was announced as expired, once",
        },
    ),
    "unread": (lambda heard: heard.change("plain", read=False), {"transcripts are there, each of its own recording"}),
    "not expired": (lambda heard: heard.change("expire", status="completed"), {"what was to expire has"}),
    "two ends": (
        lambda heard: heard.say("plain", "job.completed", "completed", "b"),
        {"exactly one event tells of a job's end", "and tells what the API tells"},
    ),
    "two ends of what expired": (
        lambda heard: heard.say("expire", "job.completed", "completed", "b"),
        {"exactly one event tells of a job's end"},
    ),
    "another end": (
        _all(
            lambda heard: heard.forget("cancel"),
            lambda heard: heard.say("cancel", "job.completed", "completed", "cancel job.cancelled"),
        ),
        {"and tells what the API tells", "webhooks that are due were received", "and none that tells something else"},
    ),
    "a type that is not its status": (
        _all(lambda heard: heard.forget("plain"), lambda heard: heard.say("plain", "job.failed", "completed")),
        {"an end is one that such a job may have"},
    ),
    "expired twice": (
        lambda heard: heard.say("expire", "job.expired", "expired", "b"),
        {"what expired was announced as expired, once"},
    ),
    "expired, though it was not to": (
        lambda heard: heard.say("plain", "job.expired", "expired"),
        {"what expired was announced as expired, once"},
    ),
    "deleted, though nobody asked": (
        lambda heard: heard.say("plain", "job.deleted", "completed"),
        {"what was deleted was announced as deleted, once"},
    ),
    "no end and no deletion told": (
        lambda heard: heard.forget("delete"),
        {
            "exactly one event tells of a job's end",
            "what was deleted was announced as deleted, once",
            "and none that tells something else",
        },
    ),
    "no webhook": (lambda heard: heard.receiver.heard.clear(), {"webhooks that are due were received"}),
    "a webhook under another id": (
        _all(lambda heard: heard.receiver.heard.clear(), lambda heard: heard.tell("broken", "job.failed", "x")),
        {"webhooks that are due were received", "and none that tells something else"},
    ),
    "a webhook more, of another end": (
        lambda heard: heard.tell("cancel", "job.failed", "x"),
        {"and none that tells something else"},
    ),
    "a webhook nobody asked for": (lambda heard: heard.tell("plain", "job.completed"), {"and none that tells something else"}),
    "unsigned": (lambda heard: heard.receiver.invalid.append("plain"), {"and every one was signed"}),
    "completed by two": (lambda heard: heard.write("job completed", job_id="plain"), {"no job was completed by two workers"}),
    "a failure without a name": (
        lambda heard: heard.write("task failed", "error", exception=[{"exc_type": "KeyError", "exc_value": "'a'"}]),
        {"nobody met a failure that has no name"},
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_wrong_is_found(heard: Heard, lie: str) -> None:
    """A run with one thing wrong: the findings that are about it say so, and no other."""
    tell, found = LIES[lie]
    tell(heard)
    assert heard.wrong() == found


def test_every_finding_can_be_wrong(heard: Heard) -> None:
    """There is none that no lie above makes say so."""
    assert {finding.what for finding in heard.findings()} == set().union(*(found for _, found in LIES.values()))


def test_a_log_is_read_on_from_where_it_ended(tmp_path: Path) -> None:
    """Lines are taken once, a half of one when it is whole; a log begun anew, from its beginning; complaints and tracebacks count."""
    path = tmp_path / "janitor.log"
    logs = Logs([path, tmp_path / "absent.log"])
    logs.read()
    path.write_bytes(b'{"event": "job completed", "level": "info", "job_id": "a"}\n{"event": "slow", "lev')
    logs.read()
    with path.open("ab") as file:
        file.write(b'el": "warning"}\nTraceback (most recent call last):\n')
    logs.read()
    assert (logs.completed["a"], logs.complaints, logs.unforeseen) == (1, 1, ["janitor: ended with a traceback"])
    path.write_bytes(b'{"event": "job completed", "level": "info", "job_id": "a"}\n')
    logs.read()
    assert logs.completed["a"] == 2


_HELD = Held(handles=20, tasks=9, children=2, channels=3)
_BEFORE: dict[Process, Held] = {("ingest-1", 1): _HELD, ("janitor", 2): _HELD, ("notifier", 3): _HELD}


@pytest.mark.parametrize(
    ("now", "wrong"),
    [
        (_BEFORE, 0),
        (_BEFORE | {("ingest-1", 1): Held(handles=19, tasks=9, children=1, channels=3)}, 0),
        (_BEFORE | {("janitor", 2): Held(handles=20, tasks=11, children=2, channels=4)}, 0),
        *((_BEFORE | {("notifier", 3): msgspec.structs.replace(_HELD, **{name: 30})}, 1) for name in Held.__struct_fields__),
        ({("ingest-1", 1): _HELD, ("janitor", 2): _HELD, ("notifier", 4): Held(handles=0, tasks=0, children=0, channels=0)}, 1),
        ({("ingest-1", 5): _HELD}, 3),
    ],
    ids=["alike", "less", "what comes with the first event", *Held.__struct_fields__, "another process", "no process"],
)
def test_who_holds_more_than_before_leaks(now: dict[Process, Held], wrong: int) -> None:
    """Each of what is counted counts; a process is measured against itself, and one that has ended shows nothing, which is wrong."""
    finding = leaks.of_counts(_BEFORE, now)
    assert len(finding.wrong) == wrong
    assert finding.looked_at == len(_BEFORE.keys() & now.keys())


def test_limits_and_numbers() -> None:
    """More than its limit is wrong, and any for one without; so are too many and too few where there is a number."""
    most = {"verbatim-ingest": 20}
    assert leaks.within("", {"verbatim-ingest": 20}, most).wrong == []
    assert leaks.within("", {"verbatim-ingest": 21, "verbatim-else": 1}, most).wrong == ["verbatim-ingest: 21", "verbatim-else: 1"]
    assert [len(leaks.exactly("", 2, found).wrong) for found in (["1", "2"], ["1"], ["1", "2", "3"])] == [0, 1, 1]
