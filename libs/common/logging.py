"""Structured logs: JSON for machines or coloured lines for people. Every line says its service and, where there is one, its job and trace.

`structlog.contextvars.bound_contextvars(job_id=…)` around a job's work puts the id on every line below it, libraries' lines included.
"""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from common import tracing

# Without locals: they hold keys, URLs with passwords and people's words.
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure(service: str, *, level: str, style: str) -> None:
    """Route structlog and the standard library's loggers to stderr in one style (`json`; `console`, or `text`, which is the same)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        _Service(service),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    renderer: list[Processor] = (
        [structlog.dev.ConsoleRenderer()] if style in {"console", "text"} else [_TRACEBACKS, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiormq", "aio_pika", "botocore", "aiobotocore", "boto3", "urllib3", "httpx", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # below that it shows a WebSocket's headers, keys among them


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    trace_id = tracing.current_trace_id()
    if trace_id is not None:
        event.setdefault("trace_id", trace_id)
    return event


class _Service:
    """Adds the service's name."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = self._service
        return event
