"""What a job's row says of a failure."""

from common.jobs.job import Failure


def test_there_is_no_nul_in_it() -> None:
    """A server that is asked may quote one, and Postgres takes none: the job could never end."""
    assert Failure("server_refused", "The server said: b\0ad\0.", retryable=False).message == "The server said: bad."
    assert Failure("server_refused", "The server said: bad.", retryable=True).message == "The server said: bad."
