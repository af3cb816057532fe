"""What botocore and aiohttp raise, as failures that say by their type whether trying again can help."""

import contextlib
from collections.abc import Iterator

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from common.errors import PermanentError, Refused, TransientError

_REFUSALS = {"AccessDenied", "InvalidObjectState", "InvalidRequest", "MethodNotAllowed", "OperationAborted"}
"""What a store answers that is there, and that knows us, of what it will not do."""


@contextlib.contextmanager
def translated(what: str, *, alone: bool = False) -> Iterator[None]:
    """botocore's errors as ours; `alone`: what is asked is about this one thing, so a refusal is too (`Refused`)."""
    try:
        yield
    except ClientError as error:
        if code(error) in {"404", "NoSuchKey"}:
            raise PermanentError("object_missing", f"{what} is not in the store.") from error
        if alone and code(error) in _REFUSALS:
            raise Refused("storage_unavailable", f"The store answered {code(error)} for {what}.") from error
        refused = error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        hint = " Look at the credentials, and at this machine's clock." if refused else ""
        raise TransientError("storage_unavailable", f"The store answered {code(error)}.{hint}") from error
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:  # a body cut short comes as aiohttp's own
        raise TransientError("storage_unavailable", f"The store could not be reached ({type(error).__name__}).") from error


def code(error: ClientError) -> str:
    """The store's own word for what went wrong."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))
