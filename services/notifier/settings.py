"""What the notifier reads from the environment."""

from datetime import timedelta

from common.settings import Common, Network
from services.notifier.schedule import Schedule
from services.notifier.signature import Signer


class Settings(Common, frozen=True, kw_only=True):
    """`webhook_secrets` are `whsec_…`, a second one while they are rotated: every webhook is signed with each.

    `webhook_timeout` and `webhook_retry_delay` are seconds; the latter replaces the default schedule by retries at equal distances.
    """

    webhook_secrets: tuple[str, ...]
    webhook_timeout: float = 30
    webhook_max_retries: int | None = None
    webhook_retry_delay: float | None = None
    webhook_allow_networks: tuple[Network, ...] = ()
    webhook_concurrency: int = 32

    def __post_init__(self) -> None:
        Signer(self.webhook_secrets)
        if not 0 < self.webhook_timeout <= 300:
            raise ValueError("WEBHOOK_TIMEOUT must be more than 0 and at most 300 seconds")
        if self.webhook_max_retries is not None and not 0 <= self.webhook_max_retries <= 100:
            raise ValueError("WEBHOOK_MAX_RETRIES must be between 0 and 100")
        if self.webhook_retry_delay is not None and not 0 <= self.webhook_retry_delay <= 86_400:
            raise ValueError("WEBHOOK_RETRY_DELAY must be between 0 and 86400 seconds")
        if not 1 <= self.webhook_concurrency <= 1_000:
            raise ValueError("WEBHOOK_CONCURRENCY must be between 1 and 1000")

    @property
    def timeout(self) -> timedelta:
        return timedelta(seconds=self.webhook_timeout)

    @property
    def schedule(self) -> Schedule:
        delay = None if self.webhook_retry_delay is None else timedelta(seconds=self.webhook_retry_delay)
        return Schedule.of(max_retries=self.webhook_max_retries, retry_delay=delay)
