"""What the transcriber reads from the environment (the engine child reads the WHISPER_* and model variables itself)."""

import os
import socket
from datetime import timedelta
from typing import Annotated, Literal

import msgspec

from common.settings import Common
from services.transcriber.limits import DECODE_MEGABYTES, DECODE_SECONDS, Limits
from services.transcriber.protocol import Stage

_BOUNDED: tuple[Stage, ...] = ("vad", "transcribe", "align", "diarize", "postprocess", "redact")
"""Stages whose memory is the engine's: not the decoder's, nor ours."""


class Settings(Common, frozen=True, kw_only=True):
    """`max_concurrent_jobs` are in flight at once: one on the engine, the others being fetched, decoded or stored.

    A slot may hold up to `short_jobs_together` jobs instead of one, if all are short and heard here. `max_jobs_per_tenant` counts a
    tenant's jobs over all transcribers, so all of them should have the same. The limits are described in `limits`.
    """

    engine: Literal["whisperx", "openai"] = "whisperx"
    max_concurrent_jobs: int = 3
    max_jobs_per_tenant: int | None = None
    short_jobs_together: int = 16
    lease_seconds: float = 15
    heartbeat_seconds: float = 4
    job_time_limit_seconds: float = 1_700
    decode_time_limit_seconds: float = DECODE_SECONDS
    decode_memory_limit_mb: Annotated[int, msgspec.Meta(ge=64)] = DECODE_MEGABYTES
    stage_time_limit_seconds: float = 300
    stage_time_limit_ratio: float = 5
    engine_memory_limit_mb: int | None = None
    stage_memory_limits_mb: dict[Stage, int] = msgspec.field(default_factory=dict)
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
        if min(self.decode_time_limit_seconds, self.stage_time_limit_seconds) <= 0 or self.stage_time_limit_ratio < 0:
            raise ValueError(
                "DECODE_TIME_LIMIT_SECONDS and STAGE_TIME_LIMIT_SECONDS must be more than 0, STAGE_TIME_LIMIT_RATIO at least 0"
            )
        if self.engine_memory_limit_mb is not None and self.engine_memory_limit_mb < 1:
            raise ValueError("ENGINE_MEMORY_LIMIT_MB must be at least 1; leave it unset for no limit")
        if not self.stage_memory_limits_mb.keys() <= set(_BOUNDED):
            raise ValueError(f"STAGE_MEMORY_LIMITS_MB knows the stages {', '.join(_BOUNDED)}; decoding has DECODE_MEMORY_LIMIT_MB")
        if any(not 0 < limit <= (self.engine_memory_limit_mb or limit) for limit in self.stage_memory_limits_mb.values()):
            raise ValueError("STAGE_MEMORY_LIMITS_MB must be at least 1 and at most ENGINE_MEMORY_LIMIT_MB")
        if self.job_time_limit_seconds >= self.consumer_timeout_seconds:
            raise ValueError(
                "JOB_TIME_LIMIT_SECONDS must be less than CONSUMER_TIMEOUT_SECONDS (the broker's consumer_timeout, 1800 unless"
                " rabbitmq.conf sets it), or the broker takes long jobs away"
            )

    @property
    def jobs_in_a_slot(self) -> int:
        return 1 if self.engine == "openai" else self.short_jobs_together

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def heartbeat(self) -> timedelta:
        return timedelta(seconds=self.heartbeat_seconds)

    @property
    def limits(self) -> Limits:
        return Limits(
            job=timedelta(seconds=self.job_time_limit_seconds),
            decode=timedelta(seconds=self.decode_time_limit_seconds),
            stage=timedelta(seconds=self.stage_time_limit_seconds),
            stage_ratio=self.stage_time_limit_ratio,
            memory=None if self.engine_memory_limit_mb is None else self.engine_memory_limit_mb * 2**20,
            stage_memory={stage: limit * 2**20 for stage, limit in self.stage_memory_limits_mb.items()},
        )


def worker_name() -> str:
    """Who holds a lease, for people who look at the table."""
    return f"{socket.gethostname()}:{os.getpid()}"
