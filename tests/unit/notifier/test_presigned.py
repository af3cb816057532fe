"""Pre-signed URLs: how long they live, and that nothing of their secrets is shown."""

from datetime import UTC, datetime

import pytest

from services.notifier.presigned import lives_until, shown

AT = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
SIGNED = (
    "https://bucket.s3.amazonaws.com/out%20put.json?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261121%2Feu%2Fs3%2Faws4"
    "&X-Amz-Date=20261121T102000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature=5d672d79c15b13162d9279b0855cfba6"
)
SAID = """<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message>The signature 5d672d79c15b13162d9279b0855cfba6 we got
is wrong</Message><AWSAccessKeyId>AKIDEXAMPLE</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 20261121</StringToSign></Error>"""


@pytest.mark.parametrize(
    "url",
    [
        SIGNED,
        "https://storage.googleapis.com/b/o?X-Goog-Date=20261121T102000Z&X-Goog-Expires=600&X-Goog-Signature=00",
        "https://bucket.s3.amazonaws.com/o?AWSAccessKeyId=AKID&Expires=1795257000&Signature=x%3D",
        "https://account.blob.core.windows.net/c/o?sv=2024-11-04&se=2026-11-21T10%3A30%3A00Z&sig=x",
        "https://account.blob.core.windows.net/c/o?sv=2024-11-04&se=2026-11-21T10%3A30%3A00&sig=x",
    ],
)
def test_what_it_says(url: str) -> None:
    """The end of its life is read from each kind of signature."""
    assert lives_until(url) == AT


@pytest.mark.parametrize(
    "query",
    [
        "",
        "a=b",
        "X-Amz-Expires=600",
        "X-Amz-Date=yesterday&X-Amz-Expires=600",
        "X-Amz-Date=20261121T102000Z&X-Amz-Expires=1e9",
        "X-Amz-Date=20261121T102000Z&X-Amz-Expires=99999999999999",
        "Expires=soon",
        "Expires=99999999999999999999",
        "sig=x&se=never",
        "se=2026-11-21",
    ],
)
def test_what_it_does_not_say(query: str) -> None:
    """One that says nothing, or nothing that makes sense, is tried for as long as anything is."""
    assert lives_until(f"https://example.com/o?{query}") is None


def test_what_a_store_says() -> None:
    """Code and sentence are kept, the rest of its error is not, and of the query nothing, in either spelling."""
    kept = shown(SAID, SIGNED)
    assert kept == "SignatureDoesNotMatch: The signature *** we got\nis wrong"
    assert shown("<Code>SlowDown</Code>", SIGNED) == "SlowDown"
    repeated = shown(f"cannot PUT {SIGNED} as AKIDEXAMPLE", SIGNED)
    for secret in ("AKIDEXAMPLE", "5d672d79", "20261121T102000Z"):
        assert secret not in repeated
