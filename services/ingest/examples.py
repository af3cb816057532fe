"""One job, told at every step of its life: the examples in the OpenAPI and AsyncAPI documents. A test holds them to the structs."""

from typing import Any

JOB_ID = "019aa3f2-6c1e-7d04-9b57-3e0f8a51c2d7"
_LEASE = "019aa3f2-7a90-7c11-8f20-5b1d9e4460aa"
_OWN = f"/api/v1/jobs/{JOB_ID}"
_TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
_AT = "2026-03-02T09:30:{}Z"
HAPPENED_AT = _AT.format("09.731266")

FAILURE: dict[str, Any] = {"code": "no_audio_stream", "message": "The file holds no sound.", "retryable": False}

_QUEUED: dict[str, Any] = {
    "id": JOB_ID,
    "revision": 0,
    "status": "queued",
    "stage": None,
    "progress": 0.0,
    "position": None,
    "eta": None,
    "attempt": 0,
    "priority": "normal",
    "source": {
        "filename": "call.mp3",
        "content_type": "audio/mpeg",
        "size": 1_482_240,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "kind": "audio",
        "duration": 92.64,
        "duration_estimated": False,
        "deleted_at": None,
    },
    "options": {"language": "en", "metadata": {"call": "7"}},
    "error": None,
    "result": None,
    "cache": None,
    "upload": None,
    "lost": [],
    "receipt": None,
    "trace_id": _TRACE_ID,
    "created_at": _AT.format("00.120394"),
    "queued_at": _AT.format("00.120394"),
    "started_at": None,
    "finished_at": None,
    "links": {"self": _OWN, "transcript": f"{_OWN}/transcript"},
}
_PROCESSING = _QUEUED | {"revision": 1, "status": "processing", "stage": "fetch", "attempt": 1, "started_at": _AT.format("00.204811")}
_TRANSCRIPT = {"size": 40_962, "sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"}
_RESULT = {
    "available": True,
    "expires_at": "2026-03-09T09:30:09.731266Z",
    "bucket": "verbatim",
    "keys": {"transcript": f"results/{JOB_ID}.{_LEASE}.transcript.json"},
    "objects": {"transcript": _TRANSCRIPT},
    "language": "en",
    "duration": 92.64,
    "speakers": 2,
}
_ENDED = {"revision": 8, "stage": None, "finished_at": _AT.format("09.731266")}

COMPLETED: dict[str, Any] = _PROCESSING | _ENDED | {"status": "completed", "progress": 100.0, "result": _RESULT}
CANCELLED: dict[str, Any] = _PROCESSING | _ENDED | {"status": "cancelled"}

RECEIPT: dict[str, Any] = {
    "reason": "expired",
    "deleted_at": "2026-03-09T09:31:02.120394Z",
    "objects": [
        {"what": what, **stored, "deleted_at": "2026-03-09T09:31:02.120394Z", "lost": False}
        for what, stored in (
            ("recording", {name: _QUEUED["source"][name] for name in ("size", "sha256")}),
            ("transcript", _TRANSCRIPT),
        )
    ],
}
"""What was deleted of a job, as it says itself and as is told of it afterwards."""

EVENTS: dict[str, dict[str, Any]] = {
    "job.created": _QUEUED,
    "job.requeued": _QUEUED
    | {"revision": 5, "attempt": 1, "error": {"code": "worker_lost", "message": "The worker stopped responding.", "retryable": True}},
    "job.started": _PROCESSING,
    "job.progress": _PROCESSING | {"revision": 4, "stage": "transcribe", "progress": 41.3},
    "job.completed": COMPLETED,
    "job.failed": _PROCESSING | _ENDED | {"status": "failed", "error": FAILURE},
    "job.cancelled": CANCELLED,
    "job.expired": COMPLETED | {"revision": 9, "status": "expired", "result": None, "receipt": RECEIPT},
    "job.deleted": CANCELLED | {"receipt": RECEIPT | {"reason": "deleted", "objects": RECEIPT["objects"][:1]}},
}
"""What each event's body shows."""

CHANGE: dict[str, Any] = {
    "job_id": JOB_ID,
    "status": "processing",
    "stage": "transcribe",
    "progress": 41.3,
    "attempt": 1,
    "error": None,
    "final": False,
}
"""What a watcher is told."""

PARTIAL: dict[str, Any] = {"start": 31.42, "end": 58.9, "text": "And when did you send it? Last Tuesday, I think."}
"""What a watcher is shown while it is heard."""

LEXICON_DRAFT: dict[str, Any] = {
    "name": "Support desk",
    "corrections": [
        {"from": "cube control", "to": "kubectl", "match_case": False, "whole_word": True},
        {"from": "Ms Mayer", "to": "Ms Meyer", "match_case": True, "whole_word": True},
    ],
    "hotwords": ["kubectl", "Meyer"],
}
LEXICON_ID = "019aa3f1-02b7-7e52-8d1c-94f6b07a3e15"
_LEXICON_TIMES = {"created_at": _AT.format("00.120394"), "updated_at": _AT.format("00.120394")}
_LEXICON_LINKS = {"links": {"self": f"/api/v1/lexicons/{LEXICON_ID}"}}
LEXICON: dict[str, Any] = {"id": LEXICON_ID} | LEXICON_DRAFT | _LEXICON_TIMES | _LEXICON_LINKS
LEXICON_LIST: dict[str, Any] = {
    "lexicons": [{"id": LEXICON_ID, "name": "Support desk", "corrections": 2, "hotwords": 2} | _LEXICON_TIMES | _LEXICON_LINKS]
}

KEY: dict[str, Any] = {
    "id": "019aa3f2-1d5b-7e6a-8a41-f1c09b7d2e55",
    "tenant": "editors",
    "name": "web site",
    "scopes": ["read", "write"],
    "live": True,
    "created_at": _AT.format("00.000000"),
    "expires_at": None,
    "revoked_at": None,
}

ENDPOINT_ID = "019aa3f1-5e20-7a9b-b6c4-0d72e81f3a66"
_SIGNED_WITH = "whsec_bm90IGEgc2VjcmV0IGJ1dCBsb25nIGVub3VnaCBmb3I="
WEBHOOK_REQUEST: dict[str, Any] = {
    "url": "https://example.com/hooks/verbatim",
    "events": ["job.completed", "job.failed"],
    "description": "Archive",
    "payload": "thin",
}
WEBHOOK: dict[str, Any] = (
    {"id": ENDPOINT_ID}
    | WEBHOOK_REQUEST
    | {"status": "enabled", "failing_since": None, "disabled_at": None, "disabled_reason": None}
    | _LEXICON_TIMES
    | {"links": {"self": f"/api/v1/webhooks/{ENDPOINT_ID}", "deliveries": f"/api/v1/webhooks/{ENDPOINT_ID}/deliveries"}}
)
NEW_WEBHOOK: dict[str, Any] = WEBHOOK | {"secret": _SIGNED_WITH}
ROTATED: dict[str, Any] = {"secret": _SIGNED_WITH, "created_at": _AT.format("00.120394"), "previous_until": "2026-03-03T09:30:00.120394Z"}
DISABLED: dict[str, Any] = {
    "id": ENDPOINT_ID,
    "tenant": "editors",
    "url": "https://example.com/hooks/verbatim",
    "reason": "it answered 410 Gone",
    "links": {"webhook": f"/api/v1/webhooks/{ENDPOINT_ID}"},
}
"""What the body of `webhook.disabled` shows."""
REPLAY_REQUEST: dict[str, Any] = {"since": "2026-03-02T00:00:00Z", "state": "failed"}
DELIVERY_ID = "019aa3f2-9202-7d11-a3c5-6f40b8e27d19"
DELIVERY: dict[str, Any] = {
    "id": DELIVERY_ID,
    "kind": "webhook",
    "job_id": JOB_ID,
    "endpoint_id": ENDPOINT_ID,
    "event_id": "019aa3f2-91d7-7b3c-a6a0-0c2f5d7e8b14",
    "event_type": "job.completed",
    "endpoint": "https://example.com/hooks/verbatim",
    "state": "delivered",
    "code": None,
    "next_attempt_at": None,
    "created_at": _AT.format("09.748120"),
    "finished_at": _AT.format("09.801377"),
    "attempts": [
        {"attempt": 1, "started_at": _AT.format("09.760012"), "milliseconds": 41, "status": 204, "answer": "", "error": None},
    ],
    "links": {
        "self": f"/api/v1/deliveries/{DELIVERY_ID}",
        "redeliver": f"/api/v1/deliveries/{DELIVERY_ID}/redeliver",
        "job": _OWN,
        "webhook": f"/api/v1/webhooks/{ENDPOINT_ID}",
    },
}

CLEANUP: dict[str, Any] = {
    "id": JOB_ID,
    "status": "finished",
    "duties": ["expire"],
    "dry_run": True,
    "requested_at": _AT.format("00.120394"),
    "finished_at": _AT.format("02.731266"),
    "reports": [
        {"duty": "expire", "dry_run": True, "scanned": 240, "swept": 240, "failed": 0, "seconds": 1.734}
        | {"backlog_seconds": 412.8, "complete": True, "error": None}
    ],
    "links": {"self": f"/api/v1/admin/cleanup/{JOB_ID}"},
}

DEAD_LETTER: dict[str, Any] = {
    "id": DELIVERY_ID,
    "queue": "notifier.events",
    "reason": "delivery_limit",
    "job_id": JOB_ID,
    "event_type": "job.completed",
    "headers": {"ce-type": "job.completed", "ce-subject": JOB_ID, "x-death": [{"queue": "notifier.events", "reason": "delivery_limit"}]},
    "body": '{"id":"' + JOB_ID + '","status":"completed"}',
    "recorded_at": _AT.format("00.120394"),
    "links": {
        "self": f"/api/v1/admin/dead-letters/{DELIVERY_ID}",
        "requeue": f"/api/v1/admin/dead-letters/{DELIVERY_ID}/requeue",
    },
}

_NONE = {"objects": 0, "bytes": 0}
_AUDIO, _RESULTS = {"objects": 240, "bytes": 355_737_600}, {"objects": 230, "bytes": 9_420_800}
_ALL = {"objects": 470, "bytes": 365_158_400}
STORAGE: dict[str, Any] = {
    "measured_at": _AT.format("00.120394"),
    "level": "ok",
    "capacity_bytes": 1_000_000_000,
    "free_bytes": 634_841_600,
    "total": _ALL,
    "by_kind": {"audio": _AUDIO, "results": _RESULTS, "checkpoints": _NONE, "archives": _NONE, "other": _NONE},
    "by_age": {"day": _ALL, "week": _NONE, "month": _NONE, "older": _NONE},
}

WEBHOOK_HEADERS = {
    "webhook-id": "019aa3f2-91d7-7b3c-a6a0-0c2f5d7e8b14",
    "webhook-timestamp": "1772443810",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    "traceparent": f"00-{_TRACE_ID}-b7ad6b7169203331-01",
}


def problem(status: int, title: str, code: str, detail: str, **extra: Any) -> dict[str, Any]:
    """A refusal's body."""
    return {
        "type": f"urn:verbatim:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "trace_id": _TRACE_ID,
        **extra,
    }
