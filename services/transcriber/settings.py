"""What the transcriber reads from the environment (the engine child reads the WHISPER_* and model variables itself)."""

import os
import socket
from datetime import timedelta

from common.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    """`max_concurrent_jobs` are in flight at once: one on the engine, the others being fetched, decoded or stored.

    A slot may hold up to `short_jobs_together` jobs instead of one, if all are short. `max_jobs_per_tenant` counts a tenant's jobs over all
    transcribers, so all of them should have the same.
    """

    max_concurrent_jobs: int = 3
    max_jobs_per_tenant: int | None = None
    short_jobs_together: int = 16
    lease_seconds: float = 15
    heartbeat_seconds: float = 4
    job_time_limit_seconds: float = 1_700
    consumer_timeout_seconds: float = 1_800

    def __post_init__(self) -> None:
        if self.max_concurrent_jobs < 1:
            raise ValueError("MAX_CONCURRENT_JOBS must be at least 1")
        if self.short_jobs_together < 1:
            raise ValueError("SHORT_JOBS_TOGETHER must be at least 1, which is one job at a time")
        if self.max_jobs_per_tenant is not None and self.max_jobs_per_tenant < 1:
            raise ValueError("MAX_JOBS_PER_TENANT must be at least 1; leave it unset for no limit")
        if self.lease_seconds <= 3 * self.heartbeat_seconds:
            raise ValueError("LEASE_SECONDS must be more than 3 x HEARTBEAT_SECONDS, or one lost heartbeat loses a job")
        if self.job_time_limit_seconds >= self.consumer_timeout_seconds:
            raise ValueError(
                "JOB_TIME_LIMIT_SECONDS must be less than CONSUMER_TIMEOUT_SECONDS (the broker's consumer_timeout, 1800 unless"
                " rabbitmq.conf sets it), or the broker takes long jobs away"
            )

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def heartbeat(self) -> timedelta:
        return timedelta(seconds=self.heartbeat_seconds)


def worker_name() -> str:
    """Who holds a lease, for people who look at the table."""
    return f"{socket.gethostname()}:{os.getpid()}"
