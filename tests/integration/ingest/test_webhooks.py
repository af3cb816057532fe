"""Webhook endpoints through the real API, with a real notifier and a receiver that verifies what it gets."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import msgspec
import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from common.broker import Broker
from common.storage import Storage
from services.ingest.auth import create_key
from tests.integration.ingest.test_jobs import finish, submit
from tests.integration.notifier.receiver import Receiver, answering, receiving
from tests.running import Services, wait_until
from tests.tap import tap

WEBHOOKS = "/api/v1/webhooks"
URL = "https://example.com/hooks?token=hidden"
ENDS = ["job.completed", "job.failed", "job.cancelled"]
LOOPBACK = "127.0.0.0/8"


async def make(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post(WEBHOOKS, json={"url": URL} | changes)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def log_of(client: httpx.AsyncClient, endpoint: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    answer = await client.get(endpoint["links"]["deliveries"], params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    return found


async def logged(client: httpx.AsyncClient, endpoint: dict[str, Any], *states: str) -> list[dict[str, Any]]:
    """The endpoint's log, once its states, newest first, are these."""

    async def there() -> bool:
        return tuple(delivery["state"] for delivery in await log_of(client, endpoint)) == states

    await wait_until(there, f"the log to be {states}")
    return await log_of(client, endpoint)


async def test_an_endpoints_life(client: httpx.AsyncClient) -> None:
    """Created with a secret that is shown once, listed, read, replaced with its status kept, deleted; then it is not there."""
    answer = await client.post(WEBHOOKS, json={"url": URL, "description": "Archive"})
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"{WEBHOOKS}/{made['id']}")
    assert made.pop("secret").startswith("whsec_")
    assert (made["url"], made["events"], made["status"]) == ("https://example.com/hooks", ENDS, "enabled")
    own = made["links"]["self"]
    assert (await client.get(own)).json() == made
    assert (await client.get(WEBHOOKS)).json() == {"webhooks": [made]}
    paused = (await client.post(f"{own}/pause")).json()
    assert paused["status"] == "paused"
    replaced = (await client.put(own, json={"url": "http://example.org", "events": ["job.expired", "job.expired"]})).json()
    assert (replaced["url"], replaced["events"], replaced["status"]) == ("http://example.org", ["job.expired"], "paused")
    assert replaced["description"] == ""
    assert (await client.post(f"{own}/resume")).json()["status"] == "enabled"
    assert (await client.delete(own)).status_code == 204
    assert (await client.get(WEBHOOKS)).json() == {"webhooks": []}


CALLS: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("PUT", "", {"url": URL}),
    ("DELETE", "", None),
    ("GET", "/deliveries", None),
    ("POST", "/test", None),
    ("POST", "/rotate", None),
    ("POST", "/pause", None),
    ("POST", "/resume", None),
    ("POST", "/replay", {"since": "2026-01-01T00:00:00Z"}),
]


async def test_anothers_endpoint_is_not_there(service: Services, database: asyncpg.Connection) -> None:
    """For another tenant every address of an endpoint, and of its deliveries, is a 404; and without the scope a 403."""
    ingest = await service("ingest", AUTH="on")
    keys = {
        who: await create_key(database, tenant=who, name="", scopes=("read",) if who == "reader" else ("read", "write"))
        for who in ("owner", "other", "reader")
    }

    def acting(who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {keys[who]}"}

    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        made = (await client.post(WEBHOOKS, json={"url": URL}, headers=acting("owner"))).json()
        own = made["links"]["self"]
        sent = (await client.post(f"{own}/test", headers=acting("owner"))).json()
        for method, rest, body in CALLS:
            answer = await client.request(method, own + rest, json=body, headers=acting("other"))
            assert (answer.status_code, answer.json()["code"]) == (404, "endpoint_not_found"), rest
            if method != "GET":
                answer = await client.request(method, own + rest, json=body, headers=acting("reader"))
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), rest
        for method, link in (("GET", "self"), ("POST", "redeliver")):
            answer = await client.request(method, sent["links"][link], headers=acting("other"))
            assert (answer.status_code, answer.json()["code"]) == (404, "delivery_not_found")
        assert (await client.get(WEBHOOKS, headers=acting("other"))).json() == {"webhooks": []}
        assert (await client.get(own, headers=acting("owner"))).status_code == 200


BAD: dict[str, tuple[Any, str]] = {
    "no url": ({}, "url"),
    "a number": ({"url": 80}, "url"),
    "another scheme": ({"url": "ftp://example.com/"}, "url"),
    "no host": ({"url": "https:///hooks"}, "url"),
    "no port": ({"url": "https://example.com:http/"}, "url"),
    "a user": ({"url": "https://me:hunter2@example.com/"}, "url"),
    "a space": ({"url": "https://example.com/a b"}, "url"),
    "a line break at the end": ({"url": "https://example.com/\n"}, "url"),
    "a NUL": ({"url": "https://example.com/\0"}, "url"),
    "a long url": ({"url": "https://example.com/" + "x" * 2_000}, "url"),
    "a private address": ({"url": "http://10.0.0.1/"}, "url"),
    "a metadata service": ({"url": "http://169.254.169.254/latest"}, "url"),
    "an address in an address": ({"url": "http://[::ffff:10.0.0.1]/"}, "url"),
    "an unknown event": ({"url": URL, "events": ["job.progress"]}, "events"),
    "no events": ({"url": URL, "events": []}, "events"),
    "a NUL in the description": ({"url": URL, "description": "a\0b"}, "description"),
    "a long description": ({"url": URL, "description": "x" * 501}, "description"),
    "another member": ({"url": URL, "secret": "whsec_"}, "secret"),
}


async def test_what_cannot_be_an_endpoint(client: httpx.AsyncClient) -> None:
    """Each is a 422 that names the member and shows no password; what is no JSON is a 400, what is too large a 413."""
    for case, (body, field) in BAD.items():
        answer = await client.post(WEBHOOKS, json=body)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_option", field), case
        assert "hunter2" not in answer.text
    for content in (b"", b"{", b"[]", b"\xff"):
        refused = await client.post(WEBHOOKS, content=content)
        assert (refused.status_code, refused.json()["code"]) == (400, "malformed_json")
    large = await client.post(WEBHOOKS, content=b" " * (2**18 + 1))
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    own = (await make(client))["links"]["self"]
    others: list[tuple[str, Any, str]] = [
        ("rotate", {"overlap": -1}, "overlap"),
        ("rotate", {"overlap": 604_801}, "overlap"),
        ("replay", {}, "since"),
        ("replay", {"since": "2026-01-01"}, "since"),
        ("replay", {"since": "2026-01-01T00:00:00Z", "state": "pending"}, "state"),
    ]
    for rest, body, field in others:
        answer = await client.post(f"{own}/{rest}", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field), body
    for query, field in ({"state": "gone"}, "state"), ({"cursor": "x"}, "cursor"), ({"limit": "0"}, "limit"), ({"page": "2"}, "page"):
        answer = await client.get(f"{own}/deliveries", params=query)
        assert (answer.status_code, answer.json()["field"]) == (422, field), query


async def test_as_many_as_there_can_be(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    """The twenty-first is a 409 that names the limit."""
    await database.execute(
        "insert into endpoints (id, tenant, url, events, description)"
        " select gen_random_uuid(), 'default', 'https://example.com', '{job.failed}', '' from generate_series(1, 19)"
    )
    await make(client)
    refused = await client.post(WEBHOOKS, json={"url": URL})
    assert (refused.status_code, refused.json()["code"], refused.json()["limit"]) == (409, "too_many_endpoints", 20)


async def test_told_tested_rotated(
    client: httpx.AsyncClient, service: Services, store: Storage, sample: bytes, database_url: str, environment: dict[str, str]
) -> None:
    """Endpoints get the events that they chose and a test, signed with their own secrets: with both while one is rotated."""
    async with receiving() as receiver:
        notifier = await service("notifier", WEBHOOK_ALLOW_NETWORKS=LOOPBACK)
        one = await make(client, url=f"{receiver.url}/one")
        two = await make(client, url=f"{receiver.url}/two", events=["job.started", "job.completed"])
        await make(client, url=f"{receiver.url}/three", events=["job.failed"])
        job = await submit(client, sample, webhook_url=f"{receiver.url}/own")
        await finish(database_url, store, job["id"])
        await receiver.wait(4)
        sent = {(call.path.rpartition("/")[2], call.event["type"]): call for call in receiver.received}
        assert sent.keys() == {("one", "job.completed"), ("two", "job.started"), ("two", "job.completed"), ("own", "job.completed")}
        assert len({call.headers["webhook-id"] for (_, kind), call in sent.items() if kind == "job.completed"}) == 1
        started, completed = (sent["two", kind].event for kind in ("job.started", "job.completed"))
        assert (completed["version"], completed["data"]["revision"] > started["data"]["revision"]) == ("1", True)
        for name, secret in ("one", one["secret"]), ("two", two["secret"]), ("own", environment["WEBHOOK_SECRETS"]):
            call = sent[name, "job.completed"]
            Webhook(secret).verify(call.body, dict(call.headers))
        with pytest.raises(WebhookVerificationError):
            Webhook(two["secret"]).verify(sent["one", "job.completed"].body, dict(sent["one", "job.completed"].headers))

        rotated = (await client.post(f"{one['links']['self']}/rotate")).json()
        assert rotated["previous_until"] > rotated["created_at"]
        test = (await client.post(f"{one['links']['self']}/test")).json()
        call = (await receiver.wait(5))[4]
        assert (call.event["type"], call.headers["webhook-id"]) == ("webhook.test", test["event_id"])
        for secret in (one["secret"], rotated["secret"]):
            Webhook(secret).verify(call.body, dict(call.headers))
        newest, oldest = await logged(client, one, "delivered", "delivered")
        assert (newest["event_type"], newest["job_id"], oldest["job_id"]) == ("webhook.test", None, job["id"])
        assert newest == (await client.get(test["links"]["self"])).json()

        await client.post(f"{one['links']['self']}/rotate", json={"overlap": 0})
        final = (await client.post(f"{WEBHOOKS}/secret/rotate", json={"overlap": 0})).json()
        await client.post(oldest["links"]["redeliver"])
        [own] = [found for found in await job_log(client, job) if found["endpoint_id"] is None]
        await client.post(own["links"]["redeliver"])
        again = {call.path.rpartition("/")[2]: call for call in (await receiver.wait(7))[5:]}
        Webhook(final["secret"]).verify(again["own"].body, dict(again["own"].headers))
        assert " " not in again["own"].headers["webhook-signature"]
        assert again["one"].headers["webhook-id"] == sent["one", "job.completed"].headers["webhook-id"]
        for secret in (one["secret"], rotated["secret"]):
            with pytest.raises(WebhookVerificationError):
                Webhook(secret).verify(again["one"].body, dict(again["one"].headers))
        for secret in (one["secret"], rotated["secret"], final["secret"]):
            assert secret not in notifier.log
            assert secret not in (await client.get(WEBHOOKS)).text


async def job_log(client: httpx.AsyncClient, job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/api/v1/jobs/{job['id']}/deliveries")).json()["deliveries"]
    return found


async def test_the_secret_of_jobs_own_webhooks(client: httpx.AsyncClient) -> None:
    """There is none until it is made; it is shown once; rotating twice leaves two; deleting it ends it."""
    address = f"{WEBHOOKS}/secret"
    for answer in (await client.get(address), await client.delete(address)):
        assert (answer.status_code, answer.json()["code"]) == (404, "no_secret")
    first = (await client.post(f"{address}/rotate")).json()
    assert first["previous_until"] is None
    second = (await client.post(f"{address}/rotate", json={"overlap": 60})).json()
    status = await client.get(address)
    assert status.json() == {"created_at": second["created_at"], "previous_until": second["previous_until"]}
    assert len({first["secret"], second["secret"]}) == 2
    assert (await client.delete(address)).status_code == 204
    assert (await client.get(address)).status_code == 404


async def failing(receiver: Receiver, count: int, status: int = 500) -> None:
    receiver.answers.extend([answering(status)] * count)


async def test_paused_disabled_replayed(
    client: httpx.AsyncClient,
    service: Services,
    store: Storage,
    sample: bytes,
    database_url: str,
    broker: Broker,
) -> None:
    """What is paused waits and is sent when resumed; 410 disables, visibly; what failed is sent by replaying it."""
    async with receiving() as receiver, tap(broker, "webhook.disabled") as heard:
        await service("notifier", WEBHOOK_ALLOW_NETWORKS=LOOPBACK, WEBHOOK_MAX_RETRIES="1", WEBHOOK_RETRY_DELAY="0")
        endpoint = await make(client, url=receiver.url)
        own = endpoint["links"]["self"]

        async def happen() -> dict[str, Any]:
            job = await submit(client, sample)
            await finish(database_url, store, job["id"])
            return job

        await client.post(f"{own}/pause")
        await happen()
        await logged(client, endpoint, "pending")
        sent = (await client.post(f"{own}/test")).json()
        assert (await receiver.wait(1))[0].event["type"] == "webhook.test"
        await logged(client, endpoint, "delivered", "pending")
        await client.post(f"{own}/resume")
        await logged(client, endpoint, "delivered", "delivered")

        await failing(receiver, 2)
        await happen()
        await logged(client, endpoint, "failed", "delivered", "delivered")
        failing_since = (await client.get(own)).json()["failing_since"]
        assert failing_since is not None
        await failing(receiver, 1, status=410)
        await happen()
        log = await logged(client, endpoint, "failed", "failed", "delivered", "delivered")
        disabled = (await client.get(own)).json()
        assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "it answered 410 Gone")
        assert disabled["failing_since"] == failing_since
        told = (await heard.until(1))[0]
        assert told.headers["ce-subject"] == endpoint["id"]
        assert msgspec.json.decode(told.body)["reason"] == disabled["disabled_reason"]
        await happen()
        await logged(client, endpoint, "failed", "failed", "failed", "delivered", "delivered")
        assert len(receiver.received) == 5
        for address, body in (f"{own}/replay", {"since": "2026-01-01T00:00:00Z"}), (log[0]["links"]["redeliver"], None):
            refused = await client.post(address, json=body)
            assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_disabled")
        assert (await client.post(f"{own}/pause")).json()["status"] == "disabled"

        assert (await client.post(f"{own}/resume")).json()["status"] == "enabled"
        replayed = await client.post(f"{own}/replay", json={"since": log[0]["created_at"]})
        assert (replayed.status_code, replayed.json()) == (202, {"replayed": 2, "next_since": None})
        await logged(client, endpoint, "delivered", "delivered", "failed", "delivered", "delivered")
        assert (await client.get(own)).json()["failing_since"] is None
        await failing(receiver, 1)  # it has all its retries again
        everything = await client.post(f"{own}/replay", json={"since": sent["created_at"], "until": log[0]["created_at"], "state": "all"})
        assert everything.json()["replayed"] == 1
        again = (await logged(client, endpoint, *["delivered"] * 5))[2]
        assert [(made["attempt"], made["status"]) for made in again["attempts"]] == [(1, 500), (2, 500), (3, 500), (4, 204)]

        await failing(receiver, 2)
        await happen()
        await logged(client, endpoint, "failed", *["delivered"] * 5)
        await read_in_part(client, endpoint)


async def read_in_part(client: httpx.AsyncClient, endpoint: dict[str, Any]) -> None:
    """The log in pages and by state and time; it goes with its endpoint."""
    first, second, *_, last = await log_of(client, endpoint)
    page = (await client.get(endpoint["links"]["deliveries"], params={"limit": 1})).json()
    assert page["deliveries"] == [first]
    assert await log_of(client, endpoint, limit=1, cursor=page["next_cursor"]) == [second]
    assert await log_of(client, endpoint, state="failed") == [first]
    assert await log_of(client, endpoint, created_after=second["created_at"]) == [first]
    assert last not in await log_of(client, endpoint, created_after=last["created_at"])
    await client.delete(endpoint["links"]["self"])
    assert (await client.get(first["links"]["self"])).status_code == 404


async def test_an_endpoint_that_is_not_there(client: httpx.AsyncClient) -> None:
    """Every address below an unknown id is a 404."""
    for method, rest, body in CALLS:
        answer = await client.request(method, f"{WEBHOOKS}/{uuid4()}{rest}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "endpoint_not_found"), rest


async def test_another_address_begins_anew(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    """That the old one failed is not held against it; the same one, described in other words, is no other."""
    own = (await make(client))["links"]["self"]
    await database.execute("update endpoints set failing_since = now() - interval '4 days'")
    same = (await client.put(own, json={"url": URL, "description": "The same"})).json()
    assert same["failing_since"] is not None
    other = (await client.put(own, json={"url": "https://example.com/other"})).json()
    assert other["failing_since"] is None


async def test_an_endpoint_that_is_deleted_while_its_secret_is_rotated(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    """Is not there any more."""
    own = (await make(client))["links"]["self"]
    async with database.transaction():
        await database.execute("delete from endpoints")
        rotating = asyncio.create_task(client.post(f"{own}/rotate"))

        async def waits() -> bool:
            query = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())"
            return bool(await database.fetchval(query))

        await wait_until(waits, "the rotation to wait")
    answer = await rotating
    assert (answer.status_code, answer.json()["code"]) == (404, "endpoint_not_found")
