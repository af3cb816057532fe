"""Lexicons through the real API, and what a job keeps of the one that it names."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from common.database import connect
from common.ids import JobId
from common.lexicons import store as lexicons
from common.lexicons.entries import Correction, Entries
from common.storage import Storage
from tests.integration.ingest.conftest import NOTHING, left_behind
from tests.integration.ingest.test_jobs import JOBS, submit

LEXICONS = "/api/v1/lexicons"
DRAFT: dict[str, Any] = {
    "name": "Desk",
    "corrections": [{"from": "cube control", "to": "kubectl"}, {"from": "Mayer", "to": "Meyer", "match_case": True, "whole_word": False}],
    "hotwords": ["kubectl", "Meyer"],
}
WHOLE = [
    {"from": "cube control", "to": "kubectl", "match_case": False, "whole_word": True},
    {"from": "Mayer", "to": "Meyer", "match_case": True, "whole_word": False},
]


async def make(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post(LEXICONS, json=DRAFT | changes)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def kept(database_url: str, job: dict[str, Any]) -> Entries:
    """The job's copy, as a transcriber reads it."""
    async with connect(database_url, name="test") as pool, pool.acquire() as connection:
        return await lexicons.of_job(connection, JobId(UUID(job["id"])))


async def test_a_lexicons_life(client: httpx.AsyncClient) -> None:
    """Created, listed with numbers, read with all that is in it, replaced as a whole, deleted; then it is not there."""
    answer = await client.post(LEXICONS, json=DRAFT)
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"{LEXICONS}/{made['id']}")
    assert (made["name"], made["corrections"], made["hotwords"]) == ("Desk", WHOLE, ["kubectl", "Meyer"])
    own = made["links"]["self"]
    read = await client.get(own)
    assert read.json() == made
    assert (await client.get(own, headers={"If-None-Match": read.headers["etag"]})).status_code == 304
    [listed] = (await client.get(LEXICONS)).json()["lexicons"]
    assert (listed["id"], listed["name"], listed["corrections"], listed["hotwords"]) == (made["id"], "Desk", 2, 2)
    replaced = (await client.put(own, json={"name": "Empty"})).json()
    assert (replaced["name"], replaced["corrections"], replaced["hotwords"], replaced["created_at"]) == (
        "Empty",
        [],
        [],
        made["created_at"],
    )
    assert replaced["updated_at"] > made["updated_at"]
    assert (await client.get(own)).json() == replaced
    assert (await client.delete(own)).status_code == 204
    for gone in (await client.get(own), await client.put(own, json=DRAFT), await client.delete(own)):
        assert (gone.status_code, gone.json()["code"]) == (404, "lexicon_not_found")
    assert (await client.get(LEXICONS)).json() == {"lexicons": []}


async def test_a_job_keeps_what_it_was_submitted_with(client: httpx.AsyncClient, sample: bytes, database_url: str) -> None:
    """Its copy stays the same when the lexicon is changed and deleted; the copy goes with the job."""
    lexicon = await make(client)
    job = await submit(client, sample, lexicon_id=lexicon["id"])
    assert job["options"] == {"lexicon_id": lexicon["id"]}
    frozen = Entries(
        corrections=(Correction("cube control", "kubectl"), Correction("Mayer", "Meyer", match_case=True, whole_word=False)),
        hotwords=("kubectl", "Meyer"),
    )
    await client.put(lexicon["links"]["self"], json={"name": "Other"})
    assert await kept(database_url, job) == frozen
    assert await kept(database_url, await submit(client, sample, lexicon_id=lexicon["id"])) == Entries()
    await client.delete(lexicon["links"]["self"])
    assert await kept(database_url, job) == frozen
    await client.delete(f"{JOBS}/{job['id']}")
    assert await kept(database_url, job) == Entries()


@pytest.mark.parametrize("lexicon_id", [str(uuid4()), "desk"], ids=["unknown", "malformed"])
async def test_a_job_cannot_name_a_lexicon_that_is_not_there(
    client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection, lexicon_id: str
) -> None:
    """422 by name, and nothing of the submission is left."""
    answer = await client.post(JOBS, files={"file": ("talk.wav", sample)}, data={"lexicon_id": lexicon_id})
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_option", "lexicon_id")
    assert await left_behind(store, database) == NOTHING


def correction(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "corrections": [{"from": "a", "to": "b"} | changes]}


BAD: dict[str, tuple[Any, str]] = {
    "no name": ({}, "name"),
    "an empty name": ({"name": " "}, "name"),
    "a long name": ({"name": "x" * 101}, "name"),
    "another member": ({"name": "x", "words": []}, "words"),
    "no replacement": ({"name": "x", "corrections": [{"from": "a"}]}, "corrections[0].to"),
    "an empty replacement": (correction(to=""), "corrections[0].to"),
    "spaces around": (correction(**{"from": " a"}), "corrections[0].from"),
    "a control character": (correction(to="b\x00c"), "corrections[0].to"),
    "a line break at the end": (correction(to="b\n"), "corrections[0].to"),
    "a long text": (correction(to="b" * 201), "corrections[0].to"),
    "an unknown rule": (correction(regex=True), "corrections[0].regex"),
    "the same twice": ({"name": "x", "corrections": [{"from": "a", "to": "b"}, {"from": "A", "to": "c"}]}, "corrections[1].from"),
    "too many corrections": ({"name": "x", "corrections": [{"from": f"a{n}", "to": "b"} for n in range(1_001)]}, "corrections"),
    "too many hot words": ({"name": "x", "hotwords": ["a"] * 201}, "hotwords"),
    "an empty hot word": ({"name": "x", "hotwords": ["a", ""]}, "hotwords[1]"),
}


async def test_what_cannot_be_kept(client: httpx.AsyncClient) -> None:
    """Each is a 422 that says where it is wrong; what is no JSON is a 400, what is too large a 413."""
    for case, (draft, field) in BAD.items():
        answer = await client.post(LEXICONS, json=draft)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_lexicon", field), case
        assert len(answer.json()["detail"]) > 15, case
    for content in (b"", b"{", b"\xff", b'{"name": "\xff"}', b"[]", b"[" * 100_000):
        answer = await client.post(LEXICONS, content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json"), content[:10]
    large = await client.post(LEXICONS, content=b" " * (2**20 + 1), headers={"Content-Type": "application/json"})
    assert (large.status_code, large.json()["code"], large.json()["limit"]) == (413, "too_large", 2**20)
    assert (await client.get(LEXICONS)).json() == {"lexicons": []}


async def test_as_many_as_there_can_be(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    """The hundred and first is a 409 that names the limit; one deleted makes room."""
    await database.execute(
        "insert into lexicons (id, tenant, name, corrections, hotwords)"
        " select gen_random_uuid(), 'default', n::text, '[]', '[]' from generate_series(1, 99) n"
    )
    last = await make(client)
    refused = await client.post(LEXICONS, json=DRAFT)
    assert (refused.status_code, refused.json()["code"], refused.json()["limit"]) == (409, "too_many_lexicons", 100)
    await client.delete(last["links"]["self"])
    await make(client)
