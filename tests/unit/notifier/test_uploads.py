"""What follows from a store's answer to an upload."""

from datetime import UTC, datetime, timedelta

import pytest

from services.notifier.answer import USED_UP, Again, Answer, Answered, Delivered, Failed, Postponed, Unanswered, Verdict
from services.notifier.health import PATIENCE
from services.notifier.schedule import Schedule
from services.notifier.uploads import judge, postponed

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SCHEDULE = Schedule((timedelta(seconds=5), timedelta(minutes=5)))
DAY = timedelta(days=1)


def verdict(answer: Answer, attempt: int = 1, left: timedelta | None = DAY) -> Verdict:
    return judge(answer, attempt, SCHEDULE, until=None if left is None else NOW + left, now=NOW, chance=0)


def answered(status: int, said: str = "", retry_after: str | None = None) -> Answered:
    return Answered(status=status, beginning=said, retry_after=retry_after)


def test_accepted() -> None:
    """Any 2xx is success."""
    assert [verdict(answered(status)) for status in (200, 201, 204)] == [Delivered()] * 3


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (403, "AccessDenied: Request has expired", "upload_url_expired"),
        (400, "ExpiredToken: Invalid argument.", "upload_url_expired"),
        (403, "SignatureDoesNotMatch: The request signature we calculated does not match", "upload_signature_mismatch"),
        (403, "AccessDenied: Access Denied", "upload_forbidden"),
        (401, "", "upload_forbidden"),
        (405, "MethodNotAllowed: The specified method is not allowed", "upload_method_not_allowed"),
        (404, "NoSuchBucket: The specified bucket does not exist", "upload_refused"),
        (307, "TemporaryRedirect: Please re-send this request", "upload_refused"),
        (400, "InvalidRequest: RequestTimeout is no parameter of this", "upload_refused"),
        (409, "BucketAlreadyExists", "upload_refused"),
        (411, "MissingContentLength", "upload_refused"),
        (413, "EntityTooLarge", "upload_refused"),
    ],
)
def test_refused(status: int, said: str, code: str) -> None:
    """Refusals are told apart and end the delivery: a signature does not become valid by waiting."""
    found = verdict(answered(status, said))
    assert isinstance(found, Failed)
    assert found.code == code


@pytest.mark.parametrize(
    "answer",
    [
        answered(500, "InternalError"),
        answered(503, "SlowDown: Please reduce your request rate"),
        answered(429),
        answered(408),
        answered(400, "RequestTimeout: Your socket connection to the server was not read from or written to within the timeout period."),
        answered(400, "IncompleteBody: You did not provide the number of bytes specified by the Content-Length HTTP header"),
        answered(400, "ThrottlingException"),
        answered(409, "OperationAborted: A conflicting conditional operation is currently in progress against this resource."),
        answered(403, "RequestTimeTooSkewed: The difference is too large"),
        answered(403, "AccessDenied: Request is not valid yet"),
        Unanswered(error="no answer within 300 s"),
    ],
)
def test_later(answer: Answer) -> None:
    """What may go away is tried again; also what comes of a signer's clock that is ahead of the store's."""
    assert verdict(answer) == Again(timedelta(seconds=5))


def test_while_the_url_lives() -> None:
    """No attempt is put beyond the end of the URL's life: it comes when half of what is left is over, also after the schedule's end."""
    broken = answered(500)
    assert verdict(broken, attempt=2, left=timedelta(minutes=4)) == Again(timedelta(minutes=2))
    assert verdict(broken, attempt=3, left=timedelta(minutes=4)) == Again(timedelta(minutes=2))
    assert verdict(answered(503, retry_after="86400"), left=timedelta(minutes=4)) == Again(timedelta(minutes=2))
    over = verdict(broken, left=timedelta(seconds=8))
    assert isinstance(over, Failed)
    assert over.code == "upload_url_expired"


def test_our_own_outage() -> None:
    """It is waited out ever more patiently, for days or until the URL is over, and then said to be ours."""

    def after(away: timedelta, left: timedelta | None = DAY) -> Postponed | Failed:
        return postponed(away, until=None if left is None else NOW + left, now=NOW)

    for left in (None, DAY):
        waits = [after(timedelta(seconds=away), left) for away in (0, 30, 60, 3_000, 36_000)]
        assert waits == [Postponed(timedelta(seconds=wait)) for wait in (30, 30, 60, 3_000, 3_600)]
    assert after(timedelta(hours=1), left=timedelta(seconds=20)) == Postponed(timedelta(seconds=10))
    over = [after(PATIENCE), after(PATIENCE, left=None), after(timedelta(0), left=timedelta(seconds=8)), after(timedelta(0), left=-DAY)]
    assert {found.code for found in over if isinstance(found, Failed)} == {"result_unavailable"}
    assert all(isinstance(found, Failed) for found in over)


def test_a_url_that_does_not_say() -> None:
    """Without an end to its life the schedule is all there is."""
    assert verdict(answered(500), attempt=2, left=None) == Again(timedelta(minutes=5))
    assert verdict(answered(500), attempt=3, left=None) == USED_UP


def test_what_can_never_be() -> None:
    """An address that may not be called, a result that is gone: over at once, with its code."""
    assert verdict(Unanswered(error="the address is not public", code="address_refused")) == Failed(
        "address_refused", "the address is not public"
    )
