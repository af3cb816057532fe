"""One trace per job, as a collector sees it: every span under one trace id, each with its parent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.test_pipeline import JOBS, receiver, until_final
from tests.recordings import sample
from tests.running import Services, wait_until


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


async def test_one_trace_from_post_to_webhook(service: Services) -> None:
    """POST, publish, consume, engine stages, publish, webhook: one trace id, and every parent is there."""
    async with collector() as otlp, receiver() as hook:
        ingest = await service("ingest", OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url)
        for name in ("transcriber", "notifier"):
            await service(name, OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url)
        async with httpx.AsyncClient(base_url=ingest.url, timeout=30) as client:
            answer = await client.post(JOBS, files={"file": ("talk.wav", sample())}, data={"webhook_url": hook.url})
            job = await until_final(client, answer.json()["id"])
        assert job["status"] == "completed", job["error"]
        headers, _ = await asyncio.wait_for(hook.received.get(), 10)

        def mine() -> dict[bytes, tuple[str, Span]]:
            trace_id = bytes.fromhex(job["trace_id"])
            return {span.span_id: (name, span) for name, span in otlp.spans if span.trace_id == trace_id}

        def complete() -> bool:
            names = {span.name for _, span in mine().values()}
            return {"publish job.completed", "publish delivery.due", "consume transcriber.jobs"} <= names and any(
                "webhook" in name for name in names
            )

        await wait_until(complete, "all spans to be exported", 20)
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

    submission = "POST /api/v1/jobs"
    consumed = ["consume transcriber.jobs", "publish job.created", submission]
    for stage in ("fetch", "decode", "vad", "transcribe", "store"):
        assert path(stage) == [stage, *consumed]
    assert path("publish job.completed") == ["publish job.completed", *consumed]
    delivery = ["consume notifier.deliveries", "publish delivery.due", "consume notifier.events"]
    assert path("webhook")[1:] == [*delivery, "publish job.completed", *consumed]
    assert headers["traceparent"].split("-")[1] == job["trace_id"]
    services = {name for name, _ in spans.values()}
    assert services >= {"verbatim-ingest", "verbatim-transcriber", "verbatim-notifier"}
