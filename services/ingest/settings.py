"""What ingest reads from the environment."""

import re
from datetime import timedelta
from ipaddress import ip_address

from common.settings import Common, Network
from services.ingest.admission import Limits
from services.ingest.waiting import Patience

_LOOPBACK_NAMES = {"localhost"}
_ORIGIN = re.compile(r"https?://[^/\s*]+")


class Settings(Common, frozen=True, kw_only=True):
    """`max_upload_bytes` bounds a whole submission; `job_result_retention_seconds` counts from the end of a job.

    A recording named by URL is fetched from public addresses and from `url_allow_networks`, within `url_timeout_seconds`.
    Texts in `reference_texts_dir` are found in recordings of their number, for clients of an earlier service.
    A job may name one of `whisper_models`, which the transcribers read from the same variable.
    The answer to an `Idempotency-Key` is repeated for `idempotency_retention_hours`.
    An upload of which no job was made is removed `upload_retention_hours` after its last sign of life.
    Webhook endpoints may be at public addresses and in `webhook_allow_networks`.
    `rate_limit_per_minute` is for each API key; with `auth` off, for everybody together.
    Pages from `cors_allow_origins` (`https://app.example.com`, or `*` for all) may call the API from a browser.
    A call that waits for its job does so for `sync_limit_seconds`; after `sync_quiet_seconds` its connection is kept alive.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    auth: str = "on"
    max_upload_bytes: int = 4 * 2**30
    max_attempts: int = 3
    job_result_retention_seconds: int = 7 * 86_400
    upload_retention_hours: float = 24
    idempotency_retention_hours: float = 24
    url_allow_networks: tuple[Network, ...] = ()
    url_timeout_seconds: float = 900
    reference_texts_dir: str | None = None
    whisper_models: tuple[str, ...] = ()
    webhook_allow_networks: tuple[Network, ...] = ()
    cors_allow_origins: tuple[str, ...] = ()
    max_queued_jobs: int | None = 10_000
    max_queued_jobs_per_tenant: int | None = None
    rate_limit_per_minute: int | None = None
    audio_hours_per_day: float | None = None
    audio_hours_per_month: float | None = None
    sync_limit_seconds: float = 3_600
    sync_quiet_seconds: float = 25

    def __post_init__(self) -> None:
        if self.auth not in {"on", "off"}:
            raise ValueError("AUTH must be on or off")
        if self.auth == "off" and not _is_loopback(self.host):
            raise ValueError("AUTH=off is allowed only with HOST on loopback; set HOST=127.0.0.1 or AUTH=on")
        for origin in self.cors_allow_origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError("CORS_ALLOW_ORIGINS must be * or origins such as https://app.example.com, separated by commas")
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ("max_attempts", "max_queued_jobs", "max_queued_jobs_per_tenant", "rate_limit_per_minute"):
            least: int | None = getattr(self, name)
            if least is not None and least < 1:
                raise ValueError(f"{name.upper()} must be at least 1")
        positive = (
            "upload_retention_hours",
            "idempotency_retention_hours",
            "url_timeout_seconds",
            "sync_limit_seconds",
            "sync_quiet_seconds",
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name.upper()} must be more than 0")
        for name in ("job_result_retention_seconds", "audio_hours_per_day", "audio_hours_per_month"):
            amount: float | None = getattr(self, name)
            if amount is not None and amount < 0:
                raise ValueError(f"{name.upper()} must not be negative")

    @property
    def limits(self) -> Limits:
        return Limits(
            queued=self.max_queued_jobs,
            queued_per_tenant=self.max_queued_jobs_per_tenant,
            audio_hours_per_day=self.audio_hours_per_day,
            audio_hours_per_month=self.audio_hours_per_month,
        )

    @property
    def patience(self) -> Patience:
        return Patience(self.sync_limit_seconds, self.sync_quiet_seconds, self.drain_seconds)

    @property
    def upload_retention(self) -> timedelta:
        return timedelta(hours=self.upload_retention_hours)

    @property
    def idempotency_retention(self) -> timedelta:
        return timedelta(hours=self.idempotency_retention_hours)

    @property
    def url_timeout(self) -> timedelta:
        return timedelta(seconds=self.url_timeout_seconds)


def _is_loopback(host: str) -> bool:
    if host in _LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
