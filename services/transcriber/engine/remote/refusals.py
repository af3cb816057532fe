"""What an error of the server means to a job.

The key, the quota and the address are for whoever runs this service to mend, and no other attempt mends them. A recording that the server
has read and does not want is the submitter's. Everything else passes: limits of rate, overload, an answer that broke off. Nothing that came
from the server is repeated but the reason for a refusal, cut short and without the key.
"""

import time
from email.utils import parsedate_to_datetime

import msgspec
from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

from common.errors import PermanentError, TransientError, VerbatimError

REFUSED = "engine_refused"

_NO_QUOTA = frozenset(("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded"))
_LONGEST_REASON = 200
_PASSING = {"server_error": 500, "rate_limit_error": 429}
"""Types of errors, as statuses; all others are the request's fault."""

_KEY = ("engine_auth", "The transcription server does not accept this service's key; whoever runs the service has to mend OPENAI_API_KEY.")
_OURS = {
    401: _KEY,
    402: ("engine_quota", "The transcription server's quota is used up; whoever runs this service has to raise it."),
    403: _KEY,
    404: ("engine_not_found", "The transcription server does not know the model or the address; check OPENAI_MODEL and OPENAI_BASE_URL."),
    413: ("engine_upload_too_large", "The transcription server takes smaller uploads only; OPENAI_MAX_UPLOAD_MB has to be lower."),
}
"""By status: what whoever runs this service has to mend."""


class _Error(msgspec.Struct, frozen=True):
    message: str | None = None
    type: str | None = None
    code: str | None = None


class _Late(msgspec.Struct, frozen=True):
    error: _Error


def describe(error: APIError, key: str) -> VerbatimError:
    """The failure that `error` is for the job."""
    if isinstance(error, APITimeoutError):
        return TransientError("engine_timeout", "The transcription server did not answer in time.")
    if isinstance(error, APIConnectionError):
        return TransientError("engine_unreachable", "The transcription server cannot be reached.")
    if not isinstance(error, APIStatusError):
        return broken()
    body = error.body if isinstance(error.body, dict) else {}
    return _by_status(error.status_code, {error.code, error.type}, body.get("message"), key)


def late(body: bytes, key: str) -> VerbatimError:
    """The failure in an answer that began well: servers that keep a long connection alive know only at its end."""
    try:
        error = msgspec.json.decode(body, type=_Late).error
    except (msgspec.DecodeError, ValueError):
        return broken()
    return _by_status(_PASSING.get(error.type or "", 400), {error.code, error.type}, error.message, key)


def _by_status(status: int, kinds: set[str | None], message: object, key: str) -> VerbatimError:
    status = 402 if _NO_QUOTA & kinds else status
    if status in _OURS:
        return PermanentError(*_OURS[status])
    if status == 429:
        return TransientError("engine_rate_limited", "The transcription server wants fewer requests; the job tries again later.")
    if status in {400, 415, 422}:
        return PermanentError(REFUSED, f"The transcription server refuses the recording or an option: {_reason(message, key)}")
    return TransientError("engine_unavailable", f"The transcription server failed with status {status}.")


def broken() -> TransientError:
    """An answer that is none."""
    return TransientError("engine_answer_broken", "The transcription server's answer cannot be read.")


def asked_to_wait(error: APIError) -> float | None:
    """The seconds of a `Retry-After`, in either of its forms."""
    value = error.response.headers.get("retry-after") if isinstance(error, APIStatusError) else None
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _reason(message: object, key: str) -> str:
    reason = " ".join(str(message or "it does not say why.").split())
    return (reason.replace(key, "…") if key else reason)[:_LONGEST_REASON]
