"""What the janitor reads from the environment."""

from datetime import timedelta

from common.settings import Common
from services.janitor.duties.measure import Limits


class Settings(Common, frozen=True, kw_only=True):
    """`audio_retention_hours` counts from the end of a job; unset, recordings stay for as long as the result does.

    With `delete_audio_after_success` those of completed jobs go at once. The other retentions count from when a job expired or was
    deleted, a delivery was over, a dead letter was recorded. Tombstones must be there when the notifier comes to tell of them,
    and deliveries for as long as one that is missing counts as never made (`retell`).

    The two graces count from the moment an object or an upload began. `orphan_grace_hours` must cover the time between the last byte of
    a recording and its job's row, and `stale_upload_hours` the longest upload: what is older is taken away, in use or not.

    The `storage_*_percent` are of `storage_capacity_bytes`; unset, the store is never low on space.
    """

    rescue_interval_seconds: float = 2
    cleanup_interval_minutes: float = 10
    stale_upload_hours: float = 24
    orphan_grace_hours: float = 24
    reconcile_interval_hours: float = 6
    audio_retention_hours: float | None = None
    delete_audio_after_success: bool = False
    tombstone_retention_days: float = 30
    delivery_retention_days: float = 30
    dead_letter_retention_days: float = 14
    storage_capacity_bytes: int | None = None
    storage_warning_percent: float = 80
    storage_critical_percent: float = 95
    storage_measure_minutes: float = 2

    def __post_init__(self) -> None:
        for name in ("rescue_interval_seconds", "cleanup_interval_minutes", "reconcile_interval_hours", "storage_measure_minutes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name.upper()} must be more than 0")
        if min(self.stale_upload_hours, self.orphan_grace_hours, self.audio_retention_hours or 0) < 0:
            raise ValueError("STALE_UPLOAD_HOURS, ORPHAN_GRACE_HOURS and AUDIO_RETENTION_HOURS must not be negative")
        for name in ("tombstone_retention_days", "delivery_retention_days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.upper()} must be at least 1")
        if self.dead_letter_retention_days < 0:
            raise ValueError("DEAD_LETTER_RETENTION_DAYS must not be negative")
        if self.storage_capacity_bytes is not None and self.storage_capacity_bytes < 1:
            raise ValueError("STORAGE_CAPACITY_BYTES must be at least 1; leave it unset when it is not known")
        if not 0 < self.storage_warning_percent <= self.storage_critical_percent:
            raise ValueError("STORAGE_WARNING_PERCENT must be more than 0, and not more than STORAGE_CRITICAL_PERCENT")

    @property
    def rescue_interval(self) -> timedelta:
        return timedelta(seconds=self.rescue_interval_seconds)

    @property
    def cleanup_interval(self) -> timedelta:
        return timedelta(minutes=self.cleanup_interval_minutes)

    @property
    def reconcile_interval(self) -> timedelta:
        return timedelta(hours=self.reconcile_interval_hours)

    @property
    def tombstone_retention(self) -> timedelta:
        return timedelta(days=self.tombstone_retention_days)

    @property
    def delivery_retention(self) -> timedelta:
        return timedelta(days=self.delivery_retention_days)

    @property
    def dead_letter_retention(self) -> timedelta:
        return timedelta(days=self.dead_letter_retention_days)

    @property
    def measure_interval(self) -> timedelta:
        return timedelta(minutes=self.storage_measure_minutes)

    @property
    def space(self) -> Limits:
        return Limits(self.storage_capacity_bytes, self.storage_warning_percent, self.storage_critical_percent)

    @property
    def stale_upload(self) -> timedelta:
        return timedelta(hours=self.stale_upload_hours)

    @property
    def orphan_grace(self) -> timedelta:
        return timedelta(hours=self.orphan_grace_hours)

    @property
    def audio_retention(self) -> timedelta | None:
        return None if self.audio_retention_hours is None else timedelta(hours=self.audio_retention_hours)
