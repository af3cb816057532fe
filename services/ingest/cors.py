"""Which web pages may call the API from a browser: none, unless `CORS_ALLOW_ORIGINS` names where they come from.

Keys travel in a header and never as cookies, so no page can spend what a browser keeps: credentials are not allowed, even to `*`.
"""

from collections.abc import Sequence
from typing import Literal

from litestar.config.cors import CORSConfig
from litestar.types import Method

from services.ingest.call import JOB_ID, REQUEST_ID
from services.ingest.idempotency import REPLAYED

_METHODS: list[Method | Literal["*"]] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# What a page may read of an answer beside its body.
_EXPOSED = (
    "ETag",
    "Location",
    "Retry-After",
    REPLAYED,
    JOB_ID,
    REQUEST_ID,
    "Tus-Resumable",
    "Tus-Version",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Checksum-Algorithm",
    "Upload-Offset",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Expires",
)
_PREFLIGHT_SECONDS = 600


def config(origins: Sequence[str]) -> CORSConfig | None:
    """For `Litestar(cors_config=…)`."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=_METHODS,
        allow_headers=["*"],
        allow_credentials=False,
        expose_headers=list(_EXPOSED),
        max_age=_PREFLIGHT_SECONDS,
    )
