"""Signatures as Standard Webhooks 1.0 has them: HMAC-SHA256 over `{id}.{timestamp}.{body}`, in base64, one for each live secret.

Written by hand, since the `standardwebhooks` package's signer takes a time of day in whatever zone the machine is in; the tests use that
package's verifier as an independent receiver. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

_PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64


class Signer:
    """`secrets` are those that are live: one, or the new and the old one while receivers change over."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("WEBHOOK_SECRETS holds no secret")
        self._keys = [_key(secret, number) for number, secret in enumerate(secrets, start=1)]

    def headers(self, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
        """The three headers; `timestamp` is that of the attempt in Unix seconds, `message_id` the same for every attempt."""
        signed = f"{message_id}.{timestamp}.".encode() + body
        signatures = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in self._keys)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        }


def _key(secret: str, number: int) -> bytes:
    """The bytes behind a secret. Raises `ValueError` without repeating it."""
    problem = (
        f"secret {number} in WEBHOOK_SECRETS is not {_PREFIX} followed by {_LEAST_BYTES} to {_MOST_BYTES} random bytes in base64;"
        f' make one with: echo "{_PREFIX}$(openssl rand -base64 32)"'
    )
    if not secret.startswith(_PREFIX):
        raise ValueError(problem)
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(problem) from None
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(problem)
    return key
