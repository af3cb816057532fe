"""Signatures on their way in and out: secrets as operators write them, webhooks as receivers verify them, URLs as users sign them."""

import base64
import time

from standardwebhooks import Webhook

from common.jobs.options import OptionError, parse
from deploy.local.receiver import verifies
from services.notifier.presigned import lives_until, shown
from services.notifier.signature import Signer
from tests.fuzz.target import Target

_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
_HOLDER = Webhook(_SECRET)
_BODY = b'{"type":"job.completed"}'
_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


def check_secret(data: bytes) -> None:
    """Whatever it is, it signs what its holder verifies, or it is refused without being shown."""
    secret = data.decode("latin-1")
    try:
        headers = Signer([secret]).headers("msg_1", int(time.time()), _BODY)
    except ValueError as error:
        assert len(secret) < 12 or secret not in str(error)  # noqa: PT017 - no pytest here
    else:
        assert verifies(Webhook(secret), _BODY, headers)


def check_webhook(data: bytes) -> None:
    """The id, the time, the signatures and the body, a line each: nothing that we have not signed is believed, whatever it is."""
    *lines, body = (*data.split(b"\n", 3), b"", b"", b"", b"")[:4]
    headers = {name: line.decode("latin-1") for name, line in zip(_HEADERS, lines, strict=True)}
    assert not verifies(_HOLDER, body, headers)


def check_url(data: bytes) -> None:
    """A URL that a job may have is read to its end, and of its secrets nothing stays in what its store says."""
    url = data.decode("latin-1")
    try:
        parse({"upload_presigned_url": url})
    except OptionError:
        return
    until = lives_until(url)
    assert until is None or until.tzinfo is not None
    said = shown(f"<Error><Code>AccessDenied</Code><Message>You sent {url}</Message></Error>", url)
    query = url.partition("?")[2].partition("#")[0]
    assert all(value.partition("=")[2] not in said for value in query.split("&") if len(value.partition("=")[2]) >= 6)


def _signed() -> bytes:
    headers = Signer([_SECRET]).headers("msg_1", 1_700_000_000, _BODY)
    return "\n".join(headers[name] for name in _HEADERS).encode() + b"\n" + _BODY


_URLS = (
    b"https://bucket.example.com/key?X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600&X-Amz-Signature=0123456789abcdef&X-Amz-Credential=AKIA/x",
    b"https://storage.example.com/key?Expires=1767225600&Signature=c2lnbmF0dXJl%3D&GoogleAccessId=a",
    b"https://account.example.com/key?sv=2024&se=2026-01-01T00%3A00%3A00Z&sr=b&sig=c2lnbmF0dXJl",
    b"https://[::1]:8080/key?x=secret-thing",
)

SECRET = Target("secret", check_secret, (_SECRET.encode(), b"whsec_", b"whsec_AAAA"))
WEBHOOK = Target(
    "webhook",
    check_webhook,
    (_signed(), b"msg_1\nnan\nv1,AAAA\n{}", b"msg_1\n%d\nv1\n{}" % time.time(), b"msg_1\n%d\nv1,AAAA v1a,=\n\xff" % time.time()),
)
URL = Target("url", check_url, _URLS)
