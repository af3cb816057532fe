"""Clients that remember everything they were told, and ask again until they are told something, or have lost patience.

Each job is one of five kinds. What a client remembers is all that the verdict goes by: which submissions were accepted, what it asked for
afterwards, and what the answers said.
"""

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, Self

import httpx
import msgspec

from bench.chaos.engine import BROKEN
from bench.chaos.receiver import Receiver
from tests.recordings import wav

JOBS = "/api/v1/jobs"
Kind = Literal["plain", "broken", "cancel", "delete", "expire"]
KINDS: Mapping[Kind, int] = {"plain": 45, "broken": 10, "cancel": 15, "delete": 15, "expire": 15}
FINAL = frozenset({"completed", "failed", "cancelled", "expired"})
_PATIENCE_SECONDS = 150
_EXPIRES_SECONDS = 60
"""The shortest that may be asked for."""


class Tracked(msgspec.Struct, kw_only=True):
    """One submission that was accepted."""

    tag: str
    kind: Kind
    id: str
    sha256: str
    webhook: bool
    status: str = "queued"
    code: str | None = None
    read: bool = False
    cancelled: bool = False
    deleted: bool = False


class Unanswered(Exception):
    """Nobody gave a proper answer in time."""


class Clients:
    """So many at a time. `failed_requests` counts answers that a client of a system that only restarts should never see."""

    def __init__(
        self,
        url: str,
        webhook_url: str,
        receiver: Receiver,
        *,
        seed: int,
        kinds: Mapping[Kind, int] = KINDS,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
        self._webhook_url = webhook_url
        self._receiver = receiver
        self._seed = seed
        self._kinds = kinds
        self._patience = patience
        self._number = 0
        self.jobs: list[Tracked] = []
        self.wrong: list[str] = []
        self.requests = 0
        self.failed_requests = Counter[str]()
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def at_work(self, count: int) -> AsyncIterator[None]:
        """So many of them, for the time of the block; what was begun is then finished."""
        self._stopping.clear()
        async with asyncio.TaskGroup() as crowd:
            for number in range(count):
                crowd.create_task(self._work(), name=f"client-{number}")
            yield
            self._stopping.set()

    async def submitted(self, more: int) -> None:
        """Wait until so many more jobs were accepted; if that does not come, the verdict tells why."""
        count, deadline = len(self.jobs) + more, time.monotonic() + self._patience
        while len(self.jobs) < count and time.monotonic() < deadline:  # noqa: ASYNC110 - a bench may look again
            await asyncio.sleep(0.1)

    async def settle_all(self, deadline: float) -> None:
        """Ask until every job has come to its end, and read every transcript that was not read before."""
        room = asyncio.Semaphore(8)

        async def settle(job: Tracked) -> None:
            async with room, self._noting():
                await self._settle(job, deadline)
                if job.status == "completed" and not job.deleted and not job.read:
                    await self._check(job, deadline)

        await asyncio.gather(*(settle(job) for job in self.jobs))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def _work(self) -> None:
        """One job after another, each submitted and followed."""
        while not self._stopping.is_set():
            self._number += 1
            chance = random.Random(f"{self._seed}-{self._number}")  # noqa: S311 - makes load, guards nothing
            async with self._noting():
                job = await self._submit(f"{self._number}", chance)
                if job is not None:
                    await self._follow(job, chance)

    @asynccontextmanager
    async def _noting(self) -> AsyncIterator[None]:
        """Who is not answered has something to say against the system, and goes on."""
        try:
            yield
        except Unanswered as error:
            self.wrong.append(str(error))

    async def _settle(self, job: Tracked, deadline: float) -> None:
        """Ask until the job has come to its end; an expiring one, until it has expired."""
        last = {"expired"} if job.kind == "expire" else FINAL
        while time.monotonic() < deadline:
            answer = await self._ask("GET", f"{JOBS}/{job.id}", deadline=deadline)
            if job.deleted:
                if answer.status_code != 404:
                    self.wrong.append(f"{job.id}: deleted, and answers {answer.status_code}")
                return
            if answer.status_code != 200:
                self.wrong.append(f"{job.id}: accepted, and answers {answer.status_code}")
                return
            self._learn(job, answer.json())
            if job.status in last or (job.kind == "expire" and job.status in {"failed", "cancelled"}):  # which the verdict tells
                return
            await asyncio.sleep(0.5)

    async def _check(self, job: Tracked, deadline: float | None = None) -> None:
        """A completed job's transcript is its own."""
        answer = await self._ask("GET", f"{JOBS}/{job.id}/transcript", deadline=deadline)
        if answer.status_code == 200:
            job.read = True
            if answer.json()["text"] != job.sha256:
                self.wrong.append(f"{job.id}: the transcript is another recording's")
        elif not (job.kind == "expire" and answer.status_code in {404, 410}):
            self.wrong.append(f"{job.id}: completed, and its transcript answers {answer.status_code} {answer.text[:100]}")

    async def _submit(self, tag: str, chance: random.Random) -> Tracked | None:
        [kind] = chance.choices(list(self._kinds), weights=list(self._kinds.values()))
        frames = (BROKEN if kind == "broken" else b"SOUND.") + chance.randbytes(2 * chance.randrange(100, 40_000))
        content = wav(frames)
        data: dict[str, Any] = {"priority": chance.choice(["high", "normal", "low"]), "metadata": f'{{"tag": "{tag}"}}'}
        webhook = chance.random() < 0.8
        if webhook:
            self._receiver.expect(tag)
            data["webhook_url"] = f"{self._webhook_url}/{tag}"
        if kind == "expire":
            data["expires_in"] = str(_EXPIRES_SECONDS)
        answer = await self._ask(
            "POST", JOBS, files={"file": ("a.wav", content)}, data=data, headers={"Idempotency-Key": f"{self._seed}-{tag}"}
        )
        if answer.status_code != 202:
            self.wrong.append(f"{tag}: a submission was refused with {answer.status_code}: {answer.text[:200]}")
            return None
        job = Tracked(tag=tag, kind=kind, id=answer.json()["id"], sha256=hashlib.sha256(content).hexdigest(), webhook=webhook)
        self.jobs.append(job)
        return job

    async def _follow(self, job: Tracked, chance: random.Random) -> None:
        if job.kind == "cancel":
            await asyncio.sleep(chance.uniform(0, 1.5))
            answer = await self._ask("POST", f"{JOBS}/{job.id}/cancel")
            job.cancelled = answer.status_code == 200
            if answer.status_code not in {200, 409}:
                self.wrong.append(f"{job.id}: cancelling answers {answer.status_code}")
        if job.kind == "delete":
            await asyncio.sleep(chance.uniform(0, 3))
            answer = await self._ask("DELETE", f"{JOBS}/{job.id}")
            job.deleted = True
            if answer.status_code not in {204, 404}:  # 404: it was carried out, and we did not hear of it
                self.wrong.append(f"{job.id}: deleting answers {answer.status_code}")
            return
        deadline = time.monotonic() + self._patience
        while job.status not in FINAL and time.monotonic() < deadline:
            answer = await self._ask("GET", f"{JOBS}/{job.id}")
            if answer.status_code != 200:
                self.wrong.append(f"{job.id}: accepted, and answers {answer.status_code}")
                return
            self._learn(job, answer.json())
            await asyncio.sleep(0.2)
        if job.status == "completed":
            await self._check(job)

    def _learn(self, job: Tracked, document: dict[str, Any]) -> None:
        status = document["status"]
        if job.status in FINAL and status not in {job.status, "expired"}:
            self.wrong.append(f"{job.id}: was {job.status}, and is {status}")
        if status != "expired":
            job.code = (document["error"] or {}).get("code")
        job.status = status

    async def _ask(self, method: str, path: str, *, deadline: float | None = None, **arguments: Any) -> httpx.Response:
        """Until somebody answers. Whether what was asked for was done when nobody did is for the next answer to tell.

        Raises `Unanswered` at the deadline; None: after as long as any fault may last, and then some.
        """
        last = "nothing"
        deadline = time.monotonic() + self._patience if deadline is None else deadline
        while time.monotonic() < deadline:
            self.requests += 1
            try:
                answer = await self._http.request(method, path, **arguments)
            except httpx.HTTPError as error:
                last = type(error).__name__
                self.failed_requests[f"{method} {last}"] += 1
            else:
                busy = answer.status_code == 409 and _code(answer) == "idempotency_key_in_use"
                if answer.status_code < 500 and answer.status_code != 429 and not busy:
                    return answer
                last = f"{answer.status_code} {_code(answer)}"
                if not busy:
                    self.failed_requests[f"{method} {last}"] += 1
            await asyncio.sleep(0.3)
        raise Unanswered(f"{method} {path} was not answered: {last}, again and again")


def _code(answer: httpx.Response) -> str:
    """Of a problem; whoever else answers, a proxy for one, has none."""
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:40]
