"""One trace per job, as a collector sees it: every span under one trace id, each with its parent. No secret is in it, nor anywhere else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from common.broker import Broker
from services.ingest.auth import SCOPES, create_key
from tests.e2e.secretive import HIDDEN, configured, leaks, refused, secretive, signature, signed_in_parts
from tests.e2e.test_pipeline import JOBS, receiver, until_final
from tests.integration.ingest.test_links import site
from tests.recordings import sample, wav
from tests.running import Services, wait_until
from tests.tap import tap

SUBMISSION = "POST /api/v1/jobs"
STAGES = ("fetch", "decode", "vad", "transcribe", "store")
SPANS = {
    *(SUBMISSION, "publish job.created", "consume transcriber.jobs", *STAGES, "publish job.completed"),
    *("consume notifier.events", "publish delivery.due", "consume notifier.deliveries", "webhook POST"),
}
ONE_JOB = "GET /api/v1/jobs/{job_id}"


class Collector:
    """An OTLP/HTTP endpoint; `spans` holds (service, span) of all that was exported to it."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        export = ExportTraceServiceRequest.FromString(await request.read())
        for resource in export.resource_spans:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [(names["service.name"], span) for span in scope.spans]
        return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf")


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    found = Collector()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/traces", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


async def test_one_trace_that_tells_no_secret(service: Services, environment: dict[str, str]) -> None:
    """POST, publish, consume, engine stages, publish, webhook: one trace id, and every parent is there. All the while no secret is told."""
    connection = await asyncpg.connect(environment["DATABASE_URL"])
    key = await create_key(connection, tenant="a", name="", scopes=SCOPES)
    await connection.close()
    async with (
        collector() as otlp,
        receiver() as hook,
        receiver() as place,
        site(wav(bytes(3200))) as source,
        Broker(environment["AMQP_URL"], name="test") as broker,
    ):
        started = [
            await service(name, OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url, AUTH="on", HF_TOKEN=f"hf_{HIDDEN}", OPENAI_API_KEY=f"sk-{HIDDEN}")
            for name in ("ingest", "transcriber", "notifier", "janitor")
        ]
        headers = {"Authorization": f"Bearer {key}"}
        async with tap(broker, "#") as heard, httpx.AsyncClient(base_url=started[0].url, timeout=90, headers=headers) as client:
            secret = (await client.post("/api/v1/webhooks/secret/rotate", json={})).json()["secret"]
            targets = {"webhook_url": secretive(hook.url), "upload_presigned_url": f"{place.url}?X-Amz-Signature={HIDDEN}"}
            signatures = await signed_in_parts(client, wav(bytes(3200)))
            answers = await refused(client, source)
            answer = await client.post(JOBS, files={"file": ("talk.wav", sample())}, data=targets, headers={"Idempotency-Key": HIDDEN})
            assert answer.status_code == 202, answer.text
            job = await until_final(client, answer.json()["id"])
            assert job["status"] == "completed", job["error"]
            told, _ = await asyncio.wait_for(hook.received.get(), 60)
            await asyncio.wait_for(place.received.get(), 60)
            signatures.append(signature((await client.get(f"{JOBS}/{job['id']}/audio")).headers["location"]))
            answers.append(await client.get(f"{JOBS}/{job['id']}/deliveries"))

            def mine() -> dict[bytes, tuple[str, Span]]:
                trace_id = bytes.fromhex(job["trace_id"])
                return {span.span_id: (name, span) for name, span in otlp.spans if span.trace_id == trace_id}

            def complete() -> bool:
                """A service exports what has ended, each when it likes: a child may come before its parent."""
                found = mine()
                return (
                    {span.name for _, span in found.values()} >= SPANS
                    and all(span.parent_span_id in found for _, span in found.values() if span.parent_span_id)
                    and ONE_JOB in {span.name for _, span in otlp.spans}
                )

            await wait_until(complete, "all spans to be exported, each with its parent")
            spans = mine()

    def path(name: str) -> list[str]:
        """The span that `name` begins, and its ancestors up to the root."""
        found = next(span for _, span in spans.values() if span.name.startswith(name))
        names = [found.name]
        while found.parent_span_id:
            assert found.parent_span_id in spans, f"the parent of {found.name!r} is not in the trace"
            found = spans[found.parent_span_id][1]
            names.append(found.name)
        return names

    assert ONE_JOB in {span.name for _, span in otlp.spans}, "requests of one operation share a name"
    consumed = ["consume transcriber.jobs", "publish job.created", SUBMISSION]
    for stage in STAGES:
        assert path(stage) == [stage, *consumed]
    assert path("publish job.completed") == ["publish job.completed", *consumed]
    delivery = ["consume notifier.deliveries", "publish delivery.due", "consume notifier.events"]
    assert path("webhook")[1:] == [*delivery, "publish job.completed", *consumed]
    assert told["traceparent"].split("-")[1] == job["trace_id"]
    assert {name for name, _ in spans.values()} >= {"verbatim-ingest", "verbatim-transcriber", "verbatim-notifier"}

    places = {
        **{f"the log of {one.name}": one.log for one in started},
        "events": "".join(f"{event.body.decode()} {event.headers}" for event in heard.messages),
        "spans": "".join(str(span) for _, span in otlp.spans),
        "answers": "".join(f"{answer.text} {answer.headers}" for answer in answers),
    }
    assert leaks(places, [HIDDEN, key, key.removeprefix("vb_")[:12], secret, *signatures, *configured(environment)]) == []
