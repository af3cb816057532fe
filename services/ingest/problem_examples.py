"""An example for every refusal in the OpenAPI document: by status what is usual, by path and status what is particular."""

from typing import Any

from services.ingest import examples
from services.ingest.problems import title

_REFUSALS: dict[int, tuple[str, str, dict[str, Any]]] = {
    202: (
        "not_ready",
        "The job is processing; its result is there once it is completed.",
        {"job_status": "processing", "progress": 41.3},
    ),
    400: ("malformed_request", "The parameter cannot be read.", {}),
    401: ("unauthorized", "Send a valid API key as 'Authorization: Bearer vb_…'.", {}),
    403: ("forbidden", "This key lacks the scope 'write'.", {"allowed": ["read"]}),
    404: ("job_not_found", f"There is no job {examples.JOB_ID}.", {}),
    408: ("upload_stalled", "No bytes came for 10 seconds.", {}),
    409: ("wrong_status", "A job that is completed cannot be cancelled.", {"allowed": ["uploading", "queued", "processing"]}),
    410: ("result_expired", "The result has expired and was deleted.", {}),
    412: ("unsupported_version", "Send 'Tus-Resumable: 1.0.0'.", {"field": "Tus-Resumable"}),
    413: ("too_large", "The submission is larger than the limit of 4294967296 bytes.", {"limit": 4_294_967_296}),
    415: ("unsupported_media_type", "The file's content is neither audio nor video, whatever its name says.", {"field": "file"}),
    422: ("invalid_option", "beam_size: Expected `int` <= 10", {"field": "beam_size"}),
    423: ("upload_locked", "Another request works on this upload; ask again when it is over.", {}),
    426: ("upgrade_required", "This address is for WebSockets.", {}),
    429: ("rate_limited", "This key may make 600 requests a minute.", {"limit": 600}),
    460: ("checksum_mismatch", "The bytes have not the Upload-Checksum; none of them was kept, send them again.", {}),
    503: ("database_unavailable", "The database is not reachable at the moment; nothing was lost, try again in a few seconds.", {}),
}
_BAD_LIMIT: tuple[str, str, dict[str, Any]] = ("invalid_option", "limit: Expected `int` >= 1", {"field": "limit"})
_BAD_LEXICON = ("invalid_lexicon", "corrections[0].to: Expected `str`, got `null`", {"field": "corrections[0].to"})
_BAD_URL = (
    "invalid_option",
    "url: its address is not public, and not in a network that WEBHOOK_ALLOW_NETWORKS opens",
    {"field": "url"},
)
_DISABLED: tuple[str, str, dict[str, Any]] = (
    "endpoint_disabled",
    f"The endpoint {examples.ENDPOINT_ID} is disabled, so nothing is sent to it; resume it first.",
    {},
)
_UPLOAD = "/api/v1/uploads/{upload_id}"
_FILE = "/files/{upload_id}"
_NO_UPLOAD: tuple[str, str, dict[str, Any]] = (
    "upload_not_found",
    f"There is no upload {examples.JOB_ID}; it may have been removed, or its time is over.",
    {},
)
_UPLOAD_LOST: tuple[str, str, dict[str, Any]] = ("upload_lost", "The store no longer has what was uploaded; upload it again.", {})
_PARTICULAR: dict[tuple[str, int], tuple[str, str, dict[str, Any]]] = {
    ("/api/v1/jobs", 409): ("idempotency_key_in_use", "A request with this Idempotency-Key is still being carried out.", {}),
    ("/api/v1/jobs", 404): _NO_UPLOAD,
    ("/api/v1/jobs", 410): _UPLOAD_LOST,
    **{(path, 404): _NO_UPLOAD for path in (_UPLOAD, f"{_UPLOAD}/urls", f"{_UPLOAD}/complete")},
    ("/files", 410): _UPLOAD_LOST,
    (_FILE, 410): _UPLOAD_LOST,
    ("/files", 400): ("invalid_header", "Upload-Length: it is required, as a number of bytes.", {"field": "Upload-Length"}),
    (_FILE, 400): ("invalid_header", "Upload-Offset: it is required, as a number of bytes.", {"field": "Upload-Offset"}),
    (_FILE, 404): _NO_UPLOAD,
    (_FILE, 409): ("offset_conflict", "The upload has 5242880 bytes; go on from there.", {"offset": 5_242_880}),
    (_UPLOAD, 409): (
        "upload_submitted",
        "A job was made of this upload; what becomes of it is the job's now.",
        {"job_id": examples.JOB_ID},
    ),
    (f"{_UPLOAD}/urls", 409): ("upload_ready", "The upload is complete and takes no more bytes; make a job of it.", {}),
    (f"{_UPLOAD}/complete", 409): (
        "parts_missing",
        "2 parts are not in the store, or not in their size; PUT them and ask again.",
        {"missing": [3, 4]},
    ),
    (f"{_UPLOAD}/complete", 410): _UPLOAD_LOST,
    ("/api/v1/jobs/{job_id}", 422): ("invalid_option", "wait: Expected `float` <= 60.0", {"field": "wait"}),
    **{(path, 422): _BAD_LIMIT for path in ("/api/v1/admin/resume", "/api/v1/admin/dead-letters")},
    **{
        (f"/api/v1/admin/dead-letters/{{letter_id}}{rest}", 404): (
            "dead_letter_not_found",
            f"There is no dead letter {examples.DELIVERY_ID}; it may have been dropped, or published again.",
            {},
        )
        for rest in ("", "/requeue")
    },
    ("/api/v1/admin/dead-letters/{letter_id}/requeue", 409): (
        "not_an_event",
        "The message is no event that a queue of ours receives, so there is nobody to publish it to; drop it.",
        {},
    ),
    ("/api/v1/admin/keys/{key_id}", 404): ("key_not_found", f"There is no key {examples.JOB_ID}.", {}),
    ("/api/v1/admin/cleanup/{cleanup_id}", 404): (
        "cleanup_not_found",
        f"There is no cleanup {examples.JOB_ID}; they are kept for a week.",
        {},
    ),
    ("/api/v1/admin/keys", 422): (
        "invalid_option",
        "scopes: Invalid enum value 'all' - at `$[0]`; choose from read, write, admin",
        {"field": "scopes", "allowed": ["read", "write", "admin"]},
    ),
    ("/api/v1/admin/cleanup", 422): ("invalid_option", "there is no such member; known are duties, dry_run", {"field": "all"}),
    ("/api/v1/jobs/{job_id}/archive", 202): ("archive_not_ready", "The archive is being made; ask again.", {}),
    ("/api/v1/jobs/{job_id}/archive", 409): (
        "no_speakers",
        "The transcript does not tell speakers apart; ask for by=segment, or submit with diarize=true.",
        {},
    ),
    ("/api/v1/jobs/{job_id}/transcript", 409): (
        "job_failed",
        f"The job failed: {examples.FAILURE['message']}",
        {"job_error": examples.FAILURE},
    ),
    ("/api/v1/jobs/{job_id}/audio", 409): (
        "job_failed",
        f"The job failed: {examples.FAILURE['message']}",
        {"job_error": examples.FAILURE},
    ),
    ("/api/v1/jobs/{job_id}/receipt", 404): (
        "receipt_not_found",
        f"There is no receipt for a job {examples.JOB_ID}; it has neither expired nor been deleted, or long ago.",
        {},
    ),
    ("/api/v1/jobs/{job_id}/audio", 410): ("audio_deleted", "The recording has been deleted.", {}),
    ("/api/v1/jobs/{job_id}/retry", 409): (
        "wrong_status",
        "A job that is completed cannot be retried; that is for jobs that are failed or cancelled.",
        {"job_status": "completed", "allowed": ["failed", "cancelled"]},
    ),
    **{
        (f"/api/v1/webhooks/{{endpoint_id}}{rest}", 404): (
            "endpoint_not_found",
            f"There is no webhook endpoint {examples.ENDPOINT_ID}.",
            {},
        )
        for rest in ("", "/deliveries", "/pause", "/replay", "/resume", "/rotate", "/test")
    },
    **{(path, 422): _BAD_URL for path in ("/api/v1/webhooks", "/api/v1/webhooks/{endpoint_id}")},
    **{
        (f"/api/v1/webhooks/{path}/rotate", 422): ("invalid_option", "overlap: Expected `int` <= 604800", {"field": "overlap"})
        for path in ("{endpoint_id}", "secret")
    },
    ("/api/v1/webhooks/{endpoint_id}/replay", 422): ("invalid_option", "since: it is required", {"field": "since"}),
    ("/api/v1/webhooks/{endpoint_id}/replay", 409): _DISABLED,
    ("/api/v1/webhooks", 409): (
        "too_many_endpoints",
        "You have 20 webhook endpoints, and no more can be kept; delete one.",
        {"limit": 20},
    ),
    ("/api/v1/webhooks/secret", 404): (
        "no_secret",
        "You have no secret of your own for jobs' webhooks; POST /api/v1/webhooks/secret/rotate makes one.",
        {},
    ),
    **{
        (path, 404): ("delivery_not_found", f"There is no delivery {examples.DELIVERY_ID}.", {})
        for path in ("/api/v1/deliveries/{delivery_id}", "/api/v1/deliveries/{delivery_id}/redeliver")
    },
    ("/api/v1/deliveries/{delivery_id}/redeliver", 409): _DISABLED,
    ("/api/v1/lexicons", 409): ("too_many_lexicons", "You have 100 lexicons, and no more can be kept; delete one.", {"limit": 100}),
    ("/api/v1/lexicons", 422): _BAD_LEXICON,
    ("/api/v1/lexicons/{lexicon_id}", 404): ("lexicon_not_found", f"There is no lexicon {examples.LEXICON_ID}.", {}),
    ("/api/v1/lexicons/{lexicon_id}", 422): _BAD_LEXICON,
}


def refusal(path: str, status: int) -> dict[str, Any]:
    """The body of that answer, as an example."""
    known = _PARTICULAR.get((path, status)) or _REFUSALS.get(status)
    code, detail, extra = known or ("refused", "The request was refused.", {})
    return examples.problem(status, title(status), code, detail, **extra)
