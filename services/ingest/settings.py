"""What ingest reads from the environment."""

from ipaddress import ip_address

from common.settings import Common

_LOOPBACK_NAMES = {"localhost"}


class Settings(Common, frozen=True, kw_only=True):
    """`max_upload_bytes` bounds a whole submission; `job_result_retention_seconds` counts from the end of a job."""

    host: str = "127.0.0.1"
    port: int = 8080
    auth: str = "on"
    max_upload_bytes: int = 4 * 2**30
    max_attempts: int = 3
    job_result_retention_seconds: int = 7 * 86_400

    def __post_init__(self) -> None:
        if self.auth not in {"on", "off"}:
            raise ValueError("AUTH must be on or off")
        if self.auth == "off" and not _is_loopback(self.host):
            raise ValueError("AUTH=off is allowed only with HOST on loopback; set HOST=127.0.0.1 or AUTH=on")
        if self.max_attempts < 1:
            raise ValueError("MAX_ATTEMPTS must be at least 1")


def _is_loopback(host: str) -> bool:
    if host in _LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
