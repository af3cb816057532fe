"""Asking the server: one upload, one answer, and patience in between, but not for ever.

The client's own retries are off: they would ask again where the quota is used up, and not where an answer cannot be read. A recording in
many parts would be sent again as a whole for one hiccup, so hiccups are sat out here; when an upload's patience is used up, the job's own
back-off takes over.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from openai import APIError, OpenAI, omit

from common.errors import VerbatimError
from services.transcriber.engine.remote import answer, refusals
from services.transcriber.engine.remote.answer import Answer

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
"""What an upload may wait in all."""

TRIES = 5
_FIRST_PAUSE = 0.5


class Question(NamedTuple):
    """What is asked about an upload: `form` holds the fields that depend on what the server can do."""

    model: str
    translate: bool
    language: str | None
    prompt: str | None
    temperature: float
    form: dict[str, Any]


class Server:
    """Safe to use from several threads."""

    def __init__(self, *, base_url: str | None, key: str, timeout: float, pause: Callable[[float], None] = time.sleep) -> None:
        for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they would write down what is sent, and where to
        self._client = OpenAI(api_key=key or "none", base_url=base_url, timeout=timeout, max_retries=0)
        self._key, self._pause = key, pause

    def ask(self, upload: bytes, question: Question) -> Answer:
        """Raises `VerbatimError`: see `refusals`."""
        patience = PATIENCE_SECONDS
        for attempt in range(1, TRIES + 1):
            failure, wait = self._try(upload, question)
            if isinstance(failure, Answer):
                return failure
            pause = _FIRST_PAUSE * 2 ** (attempt - 1) if wait is None else wait
            if not failure.transient or attempt == TRIES or pause > patience:
                raise failure
            log.warning("asking again in %.1f s: %s", pause, failure)
            patience -= pause
            self._pause(pause)
        raise AssertionError  # the last attempt raises

    def _try(self, upload: bytes, question: Question) -> tuple[Answer | VerbatimError, float | None]:
        """The answer, or why there is none and how long the server asks us to wait."""
        try:
            body = self._send(upload, question)
        except APIError as error:
            return refusals.describe(error, self._key), refusals.asked_to_wait(error)
        try:
            return answer.decode(body), None
        except (msgspec.DecodeError, ValueError):  # not JSON, or no text
            return refusals.late(body, self._key), None

    def _send(self, upload: bytes, question: Question) -> bytes:
        audio = self._client.audio
        fields: dict[str, Any] = {
            "file": ("audio.flac", upload, "audio/flac"),
            "model": question.model,
            "prompt": question.prompt or omit,
            "temperature": question.temperature,
            **question.form,
        }
        if question.translate:  # the client calls it deprecated, as OpenAI ends it in 2027; other servers do not
            return audio.translations.with_raw_response.create(**fields).content
        return audio.transcriptions.with_raw_response.create(language=question.language or omit, **fields).content
