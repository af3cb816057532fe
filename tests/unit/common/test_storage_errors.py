"""What the store answers, by its type."""

import pytest
from botocore.exceptions import ClientError

from common.errors import Refused, TransientError
from common.storage_errors import translated


@pytest.mark.parametrize(
    ("code", "alone", "refused"),
    [("AccessDenied", True, True), ("AccessDenied", False, False), ("InvalidAccessKeyId", True, False), ("SlowDown", True, False)],
)
def test_a_refusal_of_one_thing_is_told_from_a_store_that_is_away(code: str, *, alone: bool, refused: bool) -> None:
    """By what it answers, and only where no more than the one thing was asked for: who refuses us refuses everything."""
    with pytest.raises(TransientError, match=code) as raised, translated("a", alone=alone):
        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "AbortMultipartUpload")
    assert isinstance(raised.value, Refused) is refused
