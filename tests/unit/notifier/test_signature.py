"""Signatures that an independent implementation of Standard Webhooks accepts."""

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.notifier.signature import Signer

FIRST = "whsec_" + base64.b64encode(b"first".ljust(24, b"!")).decode()
SECOND = "whsec_" + base64.b64encode(b"second".ljust(64, b"!")).decode()
OTHER = "whsec_" + base64.b64encode(b"other".ljust(24, b"!")).decode()
BODY = '{"type":"job.completed","data":{"text":"Grüße, 世界"}}'.encode()


def now() -> int:
    return int(time.time())


@pytest.mark.parametrize("secret", [FIRST, SECOND])
def test_verified_by_the_package(secret: str) -> None:
    """A receiver that uses the `standardwebhooks` package accepts it."""
    headers = Signer([secret]).headers("msg_1", now(), BODY)
    assert Webhook(secret).verify(BODY, headers)["type"] == "job.completed"


def test_the_specification_s_own_example() -> None:
    """The known answer that Standard Webhooks' implementations share."""
    signer = Signer(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_live_secrets() -> None:
    """While secrets are rotated, holders of either accept it, and holders of neither do not."""
    headers = Signer([FIRST, SECOND]).headers("msg_1", now(), BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    Webhook(FIRST).verify(BODY, headers)
    Webhook(SECOND).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers)


def test_everything_is_signed() -> None:
    """A changed body, id or time is found out."""
    headers = Signer([FIRST]).headers("msg_1", now(), BODY)
    for body, changed in (
        (BODY + b" ", headers),
        (BODY, {**headers, "webhook-id": "msg_2"}),
        (BODY, {**headers, "webhook-timestamp": str(now() - 60)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(FIRST).verify(body, changed)


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2",
        FIRST.removeprefix("whsec_"),
        "whsec_",
        "whsec_not base64!",
        "whsec_" + base64.b64encode(b"short").decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
    ],
)
def test_bad_secret(secret: str) -> None:
    """A secret that is none is refused with a sentence that says how to make one, and does not show it."""
    with pytest.raises(ValueError, match=r"secret 2 in WEBHOOK_SECRETS .*openssl rand") as refused:
        Signer([FIRST, secret])
    assert secret == "whsec_" or secret not in str(refused.value)


def test_no_secret() -> None:
    """There is no unsigned webhook."""
    with pytest.raises(ValueError, match="no secret"):
        Signer([])
