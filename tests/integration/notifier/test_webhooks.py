"""The notifier as a process: what receivers get, and what is recorded of it."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import trustme
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from standardwebhooks import Webhook

from common.broker import Broker
from common.database import Pool
from common.envelope import Event
from common.ids import EventId
from common.jobs import store
from common.jobs.document import public
from deploy.local.process import Process
from tests.integration.notifier.conftest import Complete, Delivery, Tried, delivery, delivery_in, due_now, wanting
from tests.integration.notifier.receiver import Receiver, answering, receiving
from tests.jobs import BROKEN, claimed
from tests.running import Services, wait_until

LONG = "240"
"""Seconds that no request is held for, however slow the machine is."""

CHAIN = ("publish job.completed", "consume notifier.events", "publish delivery.due", "consume notifier.deliveries", "webhook POST")
SECOND_SECRET = "whsec_c2Vjb25kIHNlY3JldCB0aGF0IGlzIGxvbmcgZW5vdWdo"


async def test_delivered_and_verified(
    service: Services, environment: dict[str, str], complete: Complete, receiver: Receiver, pool: Pool
) -> None:
    """A completed job is told once, signed so that an independent verifier accepts it, and shows the public job."""
    await service("notifier")
    job = await complete(receiver.url)

    [received] = await receiver.wait(1)

    event = Webhook(environment["WEBHOOK_SECRETS"]).verify(received.body, dict(received.headers))
    assert event["type"] == "job.completed"
    assert event["data"] == msgspec.json.decode(msgspec.json.encode(public(job)))
    assert list(event) == ["type", "timestamp", "version", "data"]
    assert "webhook_url" not in received.body.decode()
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"].startswith("Verbatim/")
    assert await delivery_in(pool, job, "delivered") == Delivery("delivered", 1, [Tried(204, "", None)])


async def test_a_failed_job_is_told_too(service: Services, receiver: Receiver, pool: Pool) -> None:
    """The event of a failed job carries its error."""
    await service("notifier")
    async with pool.acquire() as connection:
        await wanting(connection, receiver.url)
        await store.fail(connection, await claimed(connection), BROKEN)

    [received] = await receiver.wait(1)

    assert received.event["type"] == "job.failed"
    assert received.event["data"]["error"]["code"] == BROKEN.code


async def test_two_secrets(service: Services, environment: dict[str, str], complete: Complete, receiver: Receiver) -> None:
    """While secrets are rotated, holders of either can verify."""
    first = environment["WEBHOOK_SECRETS"]
    await service("notifier", WEBHOOK_SECRETS=f"{first},{SECOND_SECRET}")
    await complete(receiver.url)

    [received] = await receiver.wait(1)

    for secret in (first, SECOND_SECRET):
        Webhook(secret).verify(received.body, dict(received.headers))


async def test_tried_again(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """After an error the same message comes again, under the same id, with each attempt on record; the job stays completed."""
    receiver.answers.extend([answering(500, "out of order"), answering(200, "thank you")])
    await service("notifier", WEBHOOK_RETRY_DELAY="0")
    job = await complete(receiver.url)

    first, second = await receiver.wait(2)

    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    tried = [Tried(500, "out of order", None), Tried(200, "thank you", None)]
    assert await delivery_in(pool, job, "delivered") == Delivery("delivered", 2, tried)
    assert await pool.fetchval("select status from jobs") == "completed"


async def test_used_up(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """When every attempt was made, the delivery has failed and nothing is scheduled; the job stays completed."""
    receiver.answers.extend([answering(503)] * 3)
    await service("notifier", WEBHOOK_RETRY_DELAY="0", WEBHOOK_MAX_RETRIES="2")
    job = await complete(receiver.url)

    found = await delivery_in(pool, job, "failed")

    assert [tried.status for tried in found.tried] == [503, 503, 503]
    assert await pool.fetchval("select count(*) from outbox where available_at > now()") == 0
    assert await pool.fetchval("select status from jobs") == "completed"


async def test_redirects_are_not_followed(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """A redirect is a failure, and nothing is sent to where it points."""
    await service("notifier", WEBHOOK_MAX_RETRIES="0")
    for status in (301, 302, 303, 307, 308):
        receiver.answers.append(answering(status, Location="/elsewhere"))
        job = await complete(receiver.url)
        assert (await delivery_in(pool, job, "failed")).tried == [Tried(status, "", None)]

    assert {received.path for received in receiver.received} == {"/webhook"}


async def test_gone(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """410 ends the delivery at once, however many attempts are left."""
    receiver.answers.append(answering(410, "never again"))
    await service("notifier", WEBHOOK_RETRY_DELAY="0")
    job = await complete(receiver.url)

    assert await delivery_in(pool, job, "failed") == Delivery("failed", 1, [Tried(410, "never again", None)])


async def test_retry_after(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """A receiver that asks for an hour gets it: the next attempt waits in the outbox, and comes when its time has come."""
    receiver.answers.append(answering(429, Retry_After="3600"))
    await service("notifier")
    job = await complete(receiver.url)

    await delivery_in(pool, job, "pending", attempt=1)
    # The first one's may be there as well, which was published and is just being deleted.
    wait = await pool.fetchval("select max(available_at - created_at) from outbox where type = 'delivery.due'")
    assert timedelta(minutes=60) <= wait <= timedelta(minutes=72)

    await due_now(pool)
    assert (await delivery_in(pool, job, "delivered")).attempt == 2


async def test_refused_addresses(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """An address that is not public is not called, however it is written; the delivery fails at once and says why."""
    await service("notifier", WEBHOOK_ALLOW_NETWORKS="")
    errors = {}
    for host in ("127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "2130706433", "a..b"):
        job = await complete(receiver.url.replace("127.0.0.1", host))
        [tried] = (await delivery_in(pool, job, "failed")).tried
        assert tried.status is None
        errors[host] = tried.error or ""

    not_valid = {host for host, error in errors.items() if error == "the URL is not valid"}
    assert not_valid == {"2130706433", "a..b"}  # for the HTTP client a number is no host to begin with
    assert all("not public" in error for host, error in errors.items() if host not in not_valid)
    assert receiver.received == []


async def test_nobody_asked(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """A job without a webhook_url makes no delivery."""
    await service("notifier")
    async with pool.acquire() as connection:
        await wanting(connection, None)
        await store.fail(connection, await claimed(connection), BROKEN)
    job = await complete(receiver.url)

    await delivery_in(pool, job, "delivered")
    assert await pool.fetchval("select count(*) from deliveries") == 1


async def test_duplicates_make_one_delivery(service: Services, complete: Complete, broker: Broker, receiver: Receiver, pool: Pool) -> None:
    """The same event, however often it arrives, is told once."""
    job = await complete(receiver.url)
    row = await pool.fetchrow("select * from outbox where type = 'job.completed'")
    assert row is not None
    event = Event(
        id=EventId(row["event_id"]),
        type=row["type"],
        source=row["source"],
        subject=row["subject"],
        time=row["created_at"],
        data=row["body"],
    )
    for _ in range(5):
        await broker.publish(event, mandatory=True)
    await service("notifier")

    await delivery_in(pool, job, "delivered")
    after = await complete(receiver.url)
    await delivery_in(pool, after, "delivered")

    assert [received.event["data"]["id"] for received in receiver.received] == [str(job.id), str(after.id)]
    assert receiver.received[0].headers["webhook-id"] == str(event.id)


async def test_a_slow_receiver_holds_up_no_other(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """While one receiver keeps its request open, the others get theirs."""
    receiver.answers.append(receiver.held)
    await service("notifier", WEBHOOK_CONCURRENCY="3", WEBHOOK_TIMEOUT=LONG)
    slow = await complete(receiver.url)
    await receiver.wait(1)

    for job in [await complete(receiver.url) for _ in range(10)]:
        await delivery_in(pool, job, "delivered")

    assert await delivery(pool, slow) == Delivery("pending", 0, [])
    receiver.release.set()
    await delivery_in(pool, slow, "delivered")


async def test_certificates(service: Services, complete: Complete, pool: Pool, tmp_path: Path) -> None:
    """Who has a valid certificate is told; one that has expired, is another's or of nobody known is a failure that says so."""
    trusted, stranger = trustme.CA(), trustme.CA()
    trusted.cert_pem.write_to_path(tmp_path / "ca.pem")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    certificates = {
        "": trusted.issue_cert("127.0.0.1"),
        "certificate has expired": trusted.issue_cert("127.0.0.1", not_before=yesterday - timedelta(days=1), not_after=yesterday),
        "IP address mismatch": trusted.issue_cert("example.com"),
        "unable to get local issuer": stranger.issue_cert("127.0.0.1"),
    }
    await service("notifier", process=Process, SSL_CERT_FILE=str(tmp_path / "ca.pem"), WEBHOOK_RETRY_DELAY="3600")
    for problem, certificate in certificates.items():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        async with receiving(context) as receiver:
            job = await complete(receiver.url)
            found = await delivery_in(pool, job, "pending" if problem else "delivered", attempt=1)
            assert problem in (found.tried[0].error or "")
            assert (receiver.received == []) == bool(problem)


async def test_silence_is_a_failure(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """A receiver that does not answer in time has not accepted it."""
    receiver.answers.append(receiver.held)
    await service("notifier", WEBHOOK_TIMEOUT="0.2", WEBHOOK_MAX_RETRIES="0")
    job = await complete(receiver.url)

    assert await delivery_in(pool, job, "failed") == Delivery("failed", 1, [Tried(None, None, "no answer within 0.2 s")])


async def test_the_trace_goes_on(service: Services, complete: Complete, receiver: Receiver) -> None:
    """From the job's completion to the webhook each span is the next one's parent, and the receiver gets the last one's context."""
    context = SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    async with receiving() as collector:
        notifier = await service("notifier", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url.removesuffix("/webhook"))
        with trace.use_span(NonRecordingSpan(context)):
            await complete(receiver.url)
        [received] = await receiver.wait(1)
        notifier.terminate()
        assert await notifier.gone() == 0
        spans = [span for request in collector.received for span in _spans(request.body) if span.trace_id == _bytes(context.trace_id, 16)]

    parent = _bytes(context.span_id, 8)
    for name in CHAIN:
        [span] = [span for span in spans if span.name == name and span.parent_span_id == parent]
        parent = span.span_id
    assert received.headers["traceparent"] == f"00-{context.trace_id:032x}-{parent.hex()}-01"


async def test_a_stop_finishes_what_is_in_flight(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """SIGTERM waits for the answer of a request that was sent, and the notifier ends with success."""
    receiver.answers.append(receiver.held)
    notifier = await service("notifier", WEBHOOK_TIMEOUT=LONG, DRAIN_SECONDS=LONG)
    job = await complete(receiver.url)
    await receiver.wait(1)

    notifier.terminate()
    await wait_until(lambda: "stopping" in notifier.log, "the notifier to stop")
    receiver.release.set()

    assert await notifier.gone() == 0
    assert await delivery(pool, job) == Delivery("delivered", 1, [Tried(204, "", None)])


async def test_a_stop_gives_back_what_does_not_finish(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """What the drain limit cuts off is not spent: another notifier makes that attempt, at once."""
    receiver.answers.append(receiver.held)
    notifier = await service("notifier", WEBHOOK_TIMEOUT=LONG, DRAIN_SECONDS="0.1")
    job = await complete(receiver.url)
    await receiver.wait(1)

    notifier.terminate()
    assert await notifier.gone() == 0
    assert await delivery(pool, job) == Delivery("pending", 0, [])

    await service("notifier")
    assert await delivery_in(pool, job, "delivered") == Delivery("delivered", 1, [Tried(204, "", None)])
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_a_notifier_that_dies_loses_nothing(service: Services, complete: Complete, receiver: Receiver, pool: Pool) -> None:
    """After kill -9 in the middle of a request, another notifier makes that attempt when the dead one's claim has run out."""
    receiver.answers.append(receiver.held)
    notifier = await service("notifier", WEBHOOK_TIMEOUT=LONG)
    job = await complete(receiver.url)
    await receiver.wait(1)
    notifier.kill()

    await service("notifier")
    await wait_until(lambda: _waits(pool), "the other notifier to look at the claim")
    assert len(receiver.received) == 1
    await due_now(pool)

    assert await delivery_in(pool, job, "delivered") == Delivery("delivered", 1, [Tried(204, "", None)])
    assert len(receiver.received) == 2


async def _waits(pool: Pool) -> bool:
    return bool(await pool.fetchval("select exists (select from outbox where type = 'delivery.due' and available_at > now())"))


def _spans(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def _bytes(number: int, length: int) -> bytes:
    return number.to_bytes(length, "big")
