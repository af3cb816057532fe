"""What the janitor reads from the environment."""

from datetime import timedelta

from common.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    """`audio_retention_hours` counts from the end of a job; unset, recordings stay for as long as the result does.

    The two graces count from the moment an object or an upload began. `orphan_grace_hours` must cover the time between the last byte of
    a recording and its job's row, and `stale_upload_hours` the longest upload: what is older is taken away, in use or not.
    """

    rescue_interval_seconds: float = 2
    cleanup_interval_minutes: float = 10
    stale_upload_hours: float = 24
    orphan_grace_hours: float = 24
    audio_retention_hours: float | None = None

    def __post_init__(self) -> None:
        if self.rescue_interval_seconds <= 0:
            raise ValueError("RESCUE_INTERVAL_SECONDS must be more than 0")
        if self.cleanup_interval_minutes <= 0:
            raise ValueError("CLEANUP_INTERVAL_MINUTES must be more than 0")
        if min(self.stale_upload_hours, self.orphan_grace_hours, self.audio_retention_hours or 0) < 0:
            raise ValueError("STALE_UPLOAD_HOURS, ORPHAN_GRACE_HOURS and AUDIO_RETENTION_HOURS must not be negative")

    @property
    def rescue_interval(self) -> timedelta:
        return timedelta(seconds=self.rescue_interval_seconds)

    @property
    def cleanup_interval(self) -> timedelta:
        return timedelta(minutes=self.cleanup_interval_minutes)

    @property
    def stale_upload(self) -> timedelta:
        return timedelta(hours=self.stale_upload_hours)

    @property
    def orphan_grace(self) -> timedelta:
        return timedelta(hours=self.orphan_grace_hours)

    @property
    def audio_retention(self) -> timedelta | None:
        return None if self.audio_retention_hours is None else timedelta(hours=self.audio_retention_hours)
