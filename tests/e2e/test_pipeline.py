"""The whole pipeline in real processes: a recording goes in over HTTP; a transcript, a broker event and a signed webhook come out."""

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import psutil
from aiohttp import web
from standardwebhooks import Webhook

from common.broker import Broker
from tests.hostile import bombs
from tests.hostile.containers import id3
from tests.hostile.flac import flac
from tests.integration.engine.recorded import encode, silent_video
from tests.recordings import sample, wav
from tests.running import Services, wait_until
from tests.tap import tap

JOBS = "/api/v1/jobs"
SCRIPT = "This is Diane in New Jersey.\nNobody ever said anything of the kind."


class Receiver:
    """A webhook receiver on loopback; `received` holds headers and body of each request."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        await self.received.put((dict(request.headers), await request.read()))
        return web.Response()


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_route("*", "/hook", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    found.url = f"http://{host}:{port}/hook"
    try:
        yield found
    finally:
        await runner.cleanup()


async def until_final(client: httpx.AsyncClient, job_id: str, limit: float = 200) -> dict[str, Any]:
    """Poll a job as a client would, until no worker will touch it any more."""
    async with asyncio.timeout(limit):
        while True:
            job: dict[str, Any] = (await client.get(f"{JOBS}/{job_id}", params={"wait": 10})).json()
            if job["status"] in {"completed", "failed", "cancelled"}:
                return job


def plain(text: str) -> str:
    """Lower-case words without punctuation."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))


async def test_recording_to_transcript_event_and_webhook(service: Services, environment: dict[str, str]) -> None:
    """One job through all four services, with real audio, and real words at the end."""
    ingest = await service("ingest")
    for name in ("transcriber", "notifier", "janitor"):
        await service(name)
    async with (
        Broker(environment["AMQP_URL"], name="test") as broker,
        tap(broker, "job.#") as heard,
        receiver() as hook,
        httpx.AsyncClient(base_url=ingest.url, timeout=90) as client,
    ):
        fields = {"webhook_url": hook.url, "metadata": '{"call": "7"}', "reference": SCRIPT}
        answer = await client.post(JOBS, files={"file": ("talk.wav", sample())}, data=fields)
        submitted = answer.json()
        job = await until_final(client, submitted["id"])
        assert job["status"] == "completed", job["error"]
        assert job["progress"] == 100
        assert job["result"]["language"] == "en"
        assert 29 < job["result"]["duration"] < 31
        assert hook.url not in msgspec.json.encode(job).decode()

        transcript = (await client.get(f"{JOBS}/{job['id']}/transcript")).json()
        assert "this is diane in new jersey" in plain(transcript["text"])
        words = [word for segment in transcript["segments"] for word in segment["words"]]
        assert all(0 <= word["start"] <= word["end"] <= 31 for word in words)
        assert len(transcript["segments"]) >= 4

        headers, body = await asyncio.wait_for(hook.received.get(), 60)
        secret = environment["WEBHOOK_SECRETS"].split(",")[0]
        payload = Webhook(secret).verify(body, {key.lower(): value for key, value in headers.items()})
        assert payload["type"] == "job.completed"
        assert payload["data"] == job

        changes, others = {"job.created", "job.started", "job.completed"}, {"job.progress", "job.requeued"}
        await wait_until(lambda: changes <= {str(event.headers["ce-type"]) for event in heard.messages}, "the events")
        types = [str(event.headers["ce-type"]) for event in heard.messages]
        assert sorted(kind for kind in types if kind not in others) == sorted(changes)
        for kind, event in zip(types, heard.messages, strict=True):
            assert event.headers["ce-subject"] == job["id"]
            assert str(event.headers["traceparent"]).split("-")[1] == job["trace_id"] or kind == "job.progress"

        async def archived() -> bool:
            return (await client.get(f"{JOBS}/{job['id']}/archive", params={"by": "line"})).status_code == 302

        await wait_until(archived, "the archive")
        clips = await client.get(f"{JOBS}/{job['id']}/archive", params={"by": "line"}, follow_redirects=True)
        with zipfile.ZipFile(io.BytesIO(clips.content)) as zipped:
            metadata = msgspec.json.decode(zipped.read("metadata.json"))
        assert [(clip["number"], clip["text"]) for clip in metadata["clips"]] == [(1, "This is Diane in New Jersey.")]
        assert metadata["diagnostics"]["missing"] == [2]


UNDECODABLE = {
    "nothing": (wav(b""), "empty_audio"),
    "no recording": (id3() + bytes(4096), "unsupported_media"),
    "a bomb": (bombs.packed_index(), bombs.NO_MEMORY),
    "no sample rate that there is": (flac(65_535, rate=1), "unsupported_media"),
    "a playlist": (id3() + b"#EXTM3U\n#EXTINF:30,\nfile:/etc/hostname\n#EXT-X-ENDLIST\n", "unsupported_media"),
}


async def test_what_cannot_be_decoded_fails_with_a_code(service: Services, tmp_path: Path) -> None:
    """What looks like a recording and is none, a film without sound, or what does harm: each fails at once, for good, with a stable code.

    Clients of an earlier service are told the same. The same engine hears the next recording.
    """
    film = silent_video(tmp_path / "film.mp4").read_bytes()
    ingest = await service("ingest")
    worker = psutil.Process((await service("transcriber")).pid)
    engines = worker.children()
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        for name, (content, code) in {**UNDECODABLE, "a film": (film, "no_audio_stream")}.items():
            answer = await client.post(JOBS, files={"file": ("talk.wav", content)})
            job = await until_final(client, answer.json()["id"])
            assert (job["status"], job["attempt"]) == ("failed", 1), name
            assert (job["error"]["code"], job["error"]["retryable"]) == (code, False), name
            assert len(job["error"]["message"]) > 15
            failed = await client.get(f"/result/{job['id']}")
            assert (failed.status_code, failed.json()["error_message"]) == (500, job["error"]["message"])
        answer = await client.post(JOBS, files={"file": ("silence.wav", wav(bytes(3200)))})
        assert (await until_final(client, answer.json()["id"]))["status"] == "completed"
    assert worker.children() == engines


async def test_silence_is_a_result(service: Services, tmp_path: Path) -> None:
    """A tenth of a second of silence is completed, with empty text and a warning that says so.

    In a container for video it is taken for a video; once it has been decoded, only where there are pictures, at every door.
    """
    ingest = await service("ingest")
    await service("transcriber")
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        answer = await client.post(JOBS, files={"file": ("silence.wav", wav(bytes(3200)))})
        job = await until_final(client, answer.json()["id"])
        assert job["status"] == "completed", job["error"]
        transcript = (await client.get(f"{JOBS}/{job['id']}/transcript")).json()
        for name, codec, video in (("memo.mp4", "aac", False), ("film.mp4", "aac", True)):
            content = encode(tmp_path / name, np.zeros(1_600, np.int16), codec, rate=48_000, video=video).read_bytes()
            submitted = (await client.post("/process", files={"file": (name, content)})).json()
            assert submitted["file_type"] == "video"
            job = await until_final(client, submitted["job_id"])
            status, result = [(await client.get(f"/{door}/{job['id']}")).json() for door in ("status", "result")]
            kinds = {job["source"]["kind"], status["file_type"], result["result"]["source_type"]}
            assert kinds == {"video" if video else "audio"}
    assert (transcript["text"], transcript["segments"]) == ("", [])
    assert [warning["code"] for warning in transcript["warnings"]] == ["no_speech"]


async def test_cancel_stops_the_engine(service: Services) -> None:
    """A job that is cancelled on the engine is off it without waiting for a heartbeat, and the next job is done by a new child."""
    ingest = await service("ingest")
    worker = psutil.Process((await service("transcriber", HEARTBEAT_SECONDS="200", LEASE_SECONDS="1000")).pid)
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        long = (await client.post(JOBS, files={"file": ("talk.wav", sample(12))})).json()["id"]

        async def on_the_engine() -> bool:
            return bool((await client.get(f"{JOBS}/{long}")).json()["stage"] == "transcribe")

        await wait_until(on_the_engine, "the engine to have the job")
        [engine] = worker.children()
        cancelled = await client.post(f"{JOBS}/{long}/cancel")
        assert cancelled.json()["status"] == "cancelled"
        await wait_until(lambda: not engine.is_running(), "the engine to be free")
        short = (await client.post(JOBS, files={"file": ("talk.wav", sample())})).json()["id"]
        assert (await until_final(client, short))["status"] == "completed"
        assert (await until_final(client, long))["status"] == "cancelled"
