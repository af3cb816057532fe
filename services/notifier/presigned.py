"""Pre-signed URLs: until when they live, and what may be shown of what their stores say.

The URL is a key to somebody's store: nothing of its query is shown or logged. Stores repeat it in their errors, with what they made of it,
so of an error no more is kept than its code and its sentence.
"""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,500})")
_SECRET_CHARACTERS = 6
"""What is shorter is no secret, and stands in many a text by chance."""


def lives_until(url: str) -> datetime | None:
    """When the URL ceases to be accepted, as it says itself (AWS's and Google's V4 and V2 signatures, Azure's SAS); None if it does not."""
    try:
        said = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
        for vendor in ("x-amz", "x-goog"):
            if f"{vendor}-expires" in said:
                signed = datetime.strptime(said[f"{vendor}-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return signed + timedelta(seconds=int(said[f"{vendor}-expires"]))
        if "expires" in said:
            return datetime.fromtimestamp(int(said["expires"]), UTC)
        if "sig" in said and "se" in said:
            until = datetime.fromisoformat(said["se"])
            return until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        pass
    return None


def shown(answer: str, url: str) -> str:
    """What a store said, without anything that its URL has in its query."""
    code, message = _CODE.search(answer), _MESSAGE.search(answer)
    if code is not None:
        answer = f"{code[1]}: {message[1]}" if message is not None else code[1]
    query = urlsplit(url).query
    raw = (part.partition("=")[2] for part in query.split("&"))
    secrets = {*raw, *(value for _, value in parse_qsl(query)), *(part for _, value in parse_qsl(query) for part in value.split("/"))}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_CHARACTERS:
            answer = answer.replace(secret, "***")
    return answer
