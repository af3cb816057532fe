"""What the notifier reads from the environment."""

from datetime import timedelta

from common.settings import Common, Network
from services.notifier.deliveries import Bounds
from services.notifier.outgoing import PUT_TIMES
from services.notifier.schedule import Schedule
from services.notifier.signature import Signer

_MARGIN = timedelta(seconds=15)
"""How much longer an attempt is claimed than its request may take: what claiming, composing and recording take at the worst."""

_MOST_RESULT_BYTES = 2**26


class Settings(Common, frozen=True, kw_only=True):
    """`webhook_secrets` are `whsec_…`, a second one while they are rotated: every webhook is signed with each.

    To one address `webhook_concurrency_per_endpoint` requests are under way at once, of `webhook_concurrency` in all.
    A transcript of up to `webhook_max_result_bytes` is put into webhooks that ask for it.
    `webhook_timeout` and `webhook_retry_delay` are seconds; the latter replaces the default schedule by retries at equal distances.
    """

    webhook_secrets: tuple[str, ...]
    webhook_timeout: float = 30
    webhook_max_retries: int | None = None
    webhook_retry_delay: float | None = None
    webhook_allow_networks: tuple[Network, ...] = ()
    webhook_concurrency: int = 256
    webhook_concurrency_per_endpoint: int = 4
    webhook_max_result_bytes: int = 2**20

    def __post_init__(self) -> None:
        Signer(self.webhook_secrets)
        if not 0 < self.webhook_timeout <= 300:
            raise ValueError("WEBHOOK_TIMEOUT must be more than 0 and at most 300 seconds")
        if self.webhook_max_retries is not None and not 0 <= self.webhook_max_retries <= 100:
            raise ValueError("WEBHOOK_MAX_RETRIES must be between 0 and 100")
        if self.webhook_retry_delay is not None and not 0 <= self.webhook_retry_delay <= 86_400:
            raise ValueError("WEBHOOK_RETRY_DELAY must be between 0 and 86400 seconds")
        if not 3 <= self.webhook_concurrency <= 1_000:
            raise ValueError("WEBHOOK_CONCURRENCY must be between 3 and 1000: one tenant may have three quarters, and others need one")
        if not 1 <= self.webhook_concurrency_per_endpoint <= 1_000:
            raise ValueError("WEBHOOK_CONCURRENCY_PER_ENDPOINT must be between 1 and 1000")
        if not 0 <= self.webhook_max_result_bytes <= _MOST_RESULT_BYTES:
            raise ValueError("WEBHOOK_MAX_RESULT_BYTES must be between 0 and 67108864")

    @property
    def timeout(self) -> timedelta:
        return timedelta(seconds=self.webhook_timeout)

    @property
    def bounds(self) -> Bounds:
        return Bounds(
            webhook=self.timeout + _MARGIN,
            upload=PUT_TIMES * self.timeout + _MARGIN,
            width=self.webhook_concurrency_per_endpoint,
            places=self.webhook_concurrency,
        )

    @property
    def schedule(self) -> Schedule:
        delay = None if self.webhook_retry_delay is None else timedelta(seconds=self.webhook_retry_delay)
        return Schedule.of(max_retries=self.webhook_max_retries, retry_delay=delay)
