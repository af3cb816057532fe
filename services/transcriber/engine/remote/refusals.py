"""What an error of the server means to a job.

The key, the quota and the address are for whoever runs this service to mend, and no other attempt mends them. A recording that the server
has read and does not want is the submitter's. Everything else passes: limits of rate, overload, an answer that broke off. Nothing that came
from the server is repeated but the reason for a refusal, cut short and without the key.
"""

import time
from email.utils import parsedate_to_datetime

from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

from common.errors import PermanentError, TransientError, VerbatimError

REFUSED = "engine_refused"

_NO_QUOTA = frozenset(("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded"))
_LONGEST_REASON = 200
_KEY = ("engine_auth", "The transcription server does not accept this service's key; whoever runs the service has to mend OPENAI_API_KEY.")
_OURS = {
    401: _KEY,
    402: ("engine_quota", "The transcription server's quota is used up; whoever runs this service has to raise it."),
    403: _KEY,
    404: ("engine_not_found", "The transcription server does not know the model or the address; check OPENAI_MODEL and OPENAI_BASE_URL."),
    413: ("engine_upload_too_large", "The transcription server takes smaller uploads only; OPENAI_MAX_UPLOAD_MB has to be lower."),
}
"""By status: what whoever runs this service has to mend."""


def describe(error: APIError, key: str) -> VerbatimError:
    """The failure that `error` is for the job."""
    if isinstance(error, APITimeoutError):
        return TransientError("engine_timeout", "The transcription server did not answer in time.")
    if isinstance(error, APIConnectionError):
        return TransientError("engine_unreachable", "The transcription server cannot be reached.")
    return _by_status(error, key) if isinstance(error, APIStatusError) else broken()


def _by_status(error: APIStatusError, key: str) -> VerbatimError:
    status = 402 if _NO_QUOTA & {error.code, error.type} else error.status_code
    if status in _OURS:
        return PermanentError(*_OURS[status])
    if status == 429:
        return TransientError("engine_rate_limited", "The transcription server wants fewer requests; the job tries again later.")
    if status in {400, 415, 422}:
        return PermanentError(REFUSED, f"The transcription server refuses the recording or an option: {_reason(error, key)}")
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


def _reason(error: APIError, key: str) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    reason = " ".join(str(body.get("message") or "it does not say why.").split())
    return (reason.replace(key, "…") if key else reason)[:_LONGEST_REASON]
