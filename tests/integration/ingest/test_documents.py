"""The documents that a stranger starts from, as a running ingest serves them."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from services.ingest import asyncapi
from tests.unit.ingest.test_codes import documented

METHODS = {"get", "post", "put", "patch", "delete"}


async def openapi(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/schema/openapi.json")
    found: dict[str, Any] = answer.json()
    return found


def responses(document: dict[str, Any]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield from ((f"{method} {path}", int(status), response) for status, response in operation["responses"].items())


async def test_openapi_is_valid_and_whole(client: httpx.AsyncClient) -> None:
    """An independent validator accepts it, and every answer of every operation has an example that fits its schema."""
    from openapi_spec_validator import validate  # noqa: PLC0415 - slow to import, needed once

    document = await openapi(client)
    validate(document)
    assert document["openapi"].startswith("3.1")
    for where, status, response in responses(document):
        assert bool(response.get("content")) is (status not in {204, 302, 304}), (where, status)
        for kind, media in response.get("content", {}).items():
            assert "example" in media or "examples" in media, (where, status, kind)
            if "example" in media:
                _valid(document, media["schema"], media["example"])


async def test_bodies_are_documented_with_examples(client: httpx.AsyncClient) -> None:
    """Every body that an operation takes has an example that fits its schema, but for bytes, which have none to be shown."""
    document = await openapi(client)
    shown = 0
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for kind, media in operation.get("requestBody", {}).get("content", {}).items() if method in METHODS else ():
                examples = [media["example"]] if "example" in media else media["schema"].get("examples", [])
                for example in examples:
                    _valid(document, media["schema"], example)
                shown += len(examples)
                assert examples or kind != "application/json", (method, path)
    assert shown > 10


async def test_what_has_an_etag_says_so(client: httpx.AsyncClient) -> None:
    """A 304 is documented where there is one, and the header that it takes."""
    document = await openapi(client)
    tagged = {path for path, item in document["paths"].items() if "304" in item.get("get", {}).get("responses", {})}
    ids = ("/api/v1/jobs/{job_id}", "/api/v1/jobs/{job_id}/transcript", "/api/v1/lexicons/{lexicon_id}", "/api/v1/webhooks/{endpoint_id}")
    assert tagged == set(ids)
    assert all("ETag" in document["paths"][path]["get"]["responses"]["200"]["headers"] for path in tagged)


async def test_refusals_are_documented_as_they_are_sent(client: httpx.AsyncClient) -> None:
    """Refusals are problems with their own media type; their codes exist; what can be tried again says when; a real one fits."""
    document = await openapi(client)
    codes = documented()
    for where, status, response in responses(document):
        if status >= 400 and "/health/" not in where:
            assert response["content"].keys() == {"application/problem+json"}, (where, status)
            assert (response["content"]["application/problem+json"]["example"]["code"], status) in codes, where
            assert status not in {429, 503} or "Retry-After" in response["headers"], where
    submitted = document["paths"]["/api/v1/jobs"]["post"]["responses"]["202"]
    assert "Location" in submitted["headers"]
    real = await client.get("/api/v1/jobs/019aa3f2-6c1e-7d04-9b57-3e0f8a51c2d7")
    told = document["paths"]["/api/v1/jobs/{job_id}"]["get"]["responses"]["404"]["content"]["application/problem+json"]
    _valid(document, told["schema"], real.json())
    assert real.json().keys() == told["example"].keys()


async def test_health_is_documented_as_it_is_told(client: httpx.AsyncClient) -> None:
    """One document with either status, whose examples name the dependencies that are really told."""
    document = await openapi(client)
    for path in ("/health/live", "/health/ready"):
        documented = document["paths"][path]["get"]["responses"]
        told = [next(iter(documented[status]["content"]["application/json"]["examples"].values()))["value"] for status in ("200", "503")]
        assert (await client.get(path)).json().keys() == told[0].keys() >= told[1].keys()


async def test_webhooks_are_documented(client: httpx.AsyncClient) -> None:
    """Each event that a webhook is sent shows its body and the headers that a receiver verifies."""
    document = await openapi(client)
    assert document["webhooks"].keys() == {"job.started", "job.completed", "job.failed", "job.cancelled", "job.expired"}
    for kind, item in document["webhooks"].items():
        names = {parameter["name"] for parameter in item["post"]["parameters"]}
        assert names >= {"webhook-id", "webhook-timestamp", "webhook-signature"}
        body = item["post"]["requestBody"]["content"]["application/json"]
        _valid(document, body["schema"], body["example"])
        assert body["example"]["type"] == kind
        assert body["example"]["data"]["status"] == ("processing" if kind == "job.started" else kind.removeprefix("job."))


async def test_the_page_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    """The page at /schema loads its scripts and styles from this server alone."""
    page = await client.get("/schema")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    head = page.text.partition("</head>")[0]
    assert "http" not in head
    links = re.findall(r'(?:src|href)="([^"]+)"', head)
    assert len(links) == 3
    for link in links:
        asset = await client.get(link)
        assert (asset.status_code, asset.headers["cache-control"]) == (200, "max-age=86400"), link


async def test_asyncapi_is_served(client: httpx.AsyncClient) -> None:
    """What /asyncapi.json serves is the generated document."""
    assert (await client.get("/asyncapi.json")).json() == asyncapi.document()


def _valid(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    Draft202012Validator({"components": document["components"], "allOf": [schema]}).validate(value)
