"""Messages that were given up, as an operator sees them: a list, each of them, published again, dropped."""

from typing import Any
from uuid import UUID, uuid4

import httpx

from common.broker import Broker
from common.database import Pool
from common.envelope import from_message
from tests.tap import tap

LETTERS = "/api/v1/admin/dead-letters"
JOB = "018f0000-0000-7000-8000-000000000000"


def headers(kind: str, event_id: UUID) -> dict[str, Any]:
    return {
        "ce-id": str(event_id),
        "ce-type": kind,
        "ce-source": "/verbatim",
        "ce-subject": JOB,
        "ce-time": "2026-03-02T09:30:00.120394+00:00",
        "x-death": [{"queue": "notifier.events", "reason": "delivery_limit"}],
    }


async def given_up(pool: Pool, *, queue: str = "notifier.events", told: dict[str, Any], body: bytes = b"{}") -> str:
    """A letter as the janitor records it, a second younger than the one before."""
    letter_id = uuid4()
    await pool.execute(
        "insert into dead_letters (id, queue, reason, job_id, event_type, headers, body, recorded_at)"
        " select $1, $2, 'delivery_limit', $3, $4, $5, $6, now() + count(*) * interval '1 second' from dead_letters",
        *(letter_id, queue, UUID(JOB), told.get("ce-type"), told, body),
    )
    return str(letter_id)


async def test_an_event_is_published_again(client: httpx.AsyncClient, pool: Pool, broker: Broker) -> None:
    """Under its own id and of its own time, once: then the letter is gone."""
    event_id = uuid4()
    letter_id = await given_up(pool, told=headers("job.completed", event_id), body=b'{"status": "completed"}')
    shown = (await client.get(f"{LETTERS}/{letter_id}")).json()
    assert (shown["queue"], shown["reason"], shown["job_id"], shown["event_type"]) == (
        "notifier.events",
        "delivery_limit",
        JOB,
        "job.completed",
    )
    assert (shown["headers"]["ce-id"], shown["body"]) == (str(event_id), '{"status": "completed"}')
    async with tap(broker, "job.completed") as heard:
        answer = await client.post(shown["links"]["requeue"])
        assert (answer.status_code, answer.json()) == (202, shown)
        again = from_message((await heard.until(1))[0])
    assert (again.id, again.time.isoformat(), again.data) == (event_id, "2026-03-02T09:30:00.120394+00:00", b'{"status": "completed"}')
    for gone in (await client.get(shown["links"]["self"]), await client.post(shown["links"]["requeue"])):
        assert (gone.status_code, gone.json()["code"]) == (404, "dead_letter_not_found")


async def test_what_nobody_receives_is_kept(client: httpx.AsyncClient, pool: Pool) -> None:
    """What is no event, or none that a queue of ours is bound to, would wait to be published for ever; it can be dropped."""
    for told in ({}, headers("job.created", uuid4()) | {"ce-id": "x"}, headers("job.progress", uuid4())):
        letter_id = await given_up(pool, told=told, body=b"\xff" * 20_000)
        letter = f"{LETTERS}/{letter_id}"
        refused = await client.post(f"{letter}/requeue")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_an_event")
        assert len((await client.get(letter)).json()["body"]) == 16 * 2**10
        assert (await client.delete(letter)).status_code == 204
        assert (await client.delete(letter)).json()["code"] == "dead_letter_not_found"
    assert await pool.fetchval("select count(*) from outbox") == 0


async def test_pages(client: httpx.AsyncClient, pool: Pool) -> None:
    """Newest first, of one queue or of one job if that is asked for; each once."""
    made = [await given_up(pool, queue=queue, told={}) for queue in ("notifier.events", "transcriber.jobs", "notifier.events")]

    async def listed(**asked: str) -> list[str]:
        found: list[str] = []
        while True:
            page = (await client.get(LETTERS, params={"limit": "1", **asked})).json()
            found += [letter["id"] for letter in page["dead_letters"]]
            if page["next_cursor"] is None:
                return found
            asked["cursor"] = page["next_cursor"]

    assert await listed() == made[::-1]
    assert await listed(queue="notifier.events") == [made[2], made[0]]
    assert await listed(job_id=JOB) == made[::-1]
    assert await listed(job_id=str(uuid4())) == []
