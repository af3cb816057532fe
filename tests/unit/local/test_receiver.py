"""The demo's receiver, which stands for a customer's."""

import time

import httpx
import pytest

from deploy.local.receiver import Receiver
from services.notifier.signature import Signer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"type":"job.completed"}'


@pytest.mark.parametrize(
    ("changed", "body", "status"),
    [
        ({}, BODY, 204),
        ({"webhook-signature": "v1,AAAA"}, BODY, 401),
        ({"webhook-signature": "no comma"}, BODY, 401),
        ({"webhook-signature": "v1,not base64"}, BODY, 401),
        ({"webhook-timestamp": "nan"}, BODY, 401),
        ({}, b"\xff", 401),
        ({}, b"", 401),
    ],
)
def test_whatever_is_not_proven_is_answered(changed: dict[str, str], body: bytes, status: int) -> None:
    """Also when there is no sense in it at all: a signature that is none, a body that is no text."""
    headers = Signer([SECRET]).headers("msg_1", int(time.time()), BODY)
    with Receiver([SECRET]) as receiver:
        assert httpx.post(receiver.url, content=body, headers={**headers, **changed}, timeout=60).status_code == status
        called = receiver.next(60)
    assert called is not None
    assert (called.verified, called.event) == (status == 204, {"type": "job.completed"} if status == 204 else {})
