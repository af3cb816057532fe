"""Secrets put wherever a request may have one, and looked for wherever the system tells anything."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

JOBS = "/api/v1/jobs"
UPLOADS = "/api/v1/uploads"
HIDDEN = "hunter2"  # never anything but a secret
_LOOKS = re.compile(
    r"X-Amz-(Signature|Credential)"
    r"|whsec_[\w+/]{4}|\bvb_[\w-]{8}|\bhf_\w{4}|\bsk-\w{4}|Bearer [\w-]{8}"
    r"|://[^\s/@:\"']*:[^\s/@\"']+@"  # user and password of an address
)


def leaks(places: Mapping[str, str], secrets: Iterable[str]) -> list[str]:
    """Which of the secrets are in what was captured where, and what looks like one."""
    for place, text in places.items():
        assert len(text) > 100, f"{place}: was nothing captured?"
    known = [f"{place}: {secret}" for secret in secrets for place, text in places.items() if secret in text]
    return known + [f"{place}: {found[0]}" for place, text in places.items() for found in _LOOKS.finditer(text)]


def configured(environment: Mapping[str, str]) -> Iterable[str]:
    """The secrets that services are started with."""
    yield environment["AWS_SECRET_ACCESS_KEY"]
    yield from environment["WEBHOOK_SECRETS"].split(",")
    yield from filter(None, (urlsplit(environment[name]).password for name in ("DATABASE_URL", "AMQP_URL")))


def secretive(url: str) -> str:
    """The address, with a user's password, a signature and a token in it."""
    return f"{url.replace('//', f'//user:{HIDDEN}@')}?X-Amz-Signature={HIDDEN}&token={HIDDEN}"


def signature(url: str) -> str:
    """What makes a signed address work."""
    return httpx.URL(url).params["X-Amz-Signature"]


async def signed_in_parts(client: httpx.AsyncClient, recording: bytes) -> list[str]:
    """The signatures of the addresses by which an upload came, of which a job was made."""
    begun = (await client.post(UPLOADS, json={"size": len(recording)})).json()
    urls = [part["url"] for part in begun["urls"]]
    async with httpx.AsyncClient(timeout=90) as anybody:
        await anybody.put(urls[0], content=recording)
    assert (await client.post(begun["links"]["complete"])).status_code == 200
    assert (await client.post(JOBS, json={"source": {"upload_id": begun["id"]}})).status_code == 202
    return [signature(url) for url in urls]


async def refused(client: httpx.AsyncClient, site: str) -> list[httpx.Response]:
    """What is answered to requests with secrets in them: one that is accepted, and others that are wrong in many ways."""
    there, missing = f"{site}/guarded/talk.wav?token={HIDDEN}", secretive(f"{site}/gone.wav")
    posted: list[dict[str, Any]] = [
        {"json": {"source": {"url": there}, "webhook_url": f"https://user:{HIDDEN}@hook.invalid/{HIDDEN}?token={HIDDEN}"}},
        {"json": {"source": {"url": missing}}, "headers": {"Idempotency-Key": f"{HIDDEN}-gone"}},
        {"json": {"source": {"url": missing.replace("http", "gopher")}}},
        {"json": {"source": {"url": there}, "webhook_url": f"ftp://user:{HIDDEN}@example.com/"}},
        {"json": {"source": {"url": there}, "upload_presigned_url": f"//user:{HIDDEN}@example.com/"}},
        {"json": {"source": {"url": there}, "language": "klingon"}},
        {"content": f'{{"source": {{"url": "{there}"'.encode(), "headers": {"Content-Type": "application/json"}},
    ]
    answers = [await client.post(JOBS, **request) for request in posted]
    answers.append(await client.post("/api/v1/webhooks", json={"url": missing}))
    answers.append(await client.get(f"{JOBS}?token={HIDDEN}"))
    answers.append(await client.get(JOBS, headers={"Authorization": f"Bearer vb_{HIDDEN}"}))
    answers.append(await client.get(f"/api/v1/nothing?token={HIDDEN}"))
    assert [answer.status_code for answer in answers] == [202, *[422] * 5, 400, 422, 422, 401, 404]
    return answers
