"""A recogniser that has others hear: speech is cut into uploads, a few are on their way at a time, and the answers are put together again.

What a server can do shows when it is asked. Most models give times for words and segments; some refuse the format in which they would,
and have probabilities at best. What works for a model is asked for first from then on. Where there are no times uploads are kept short,
as words can then only be shared out over an upload's speech.
"""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from common.errors import PermanentError
from common.transcript import Note
from services.transcriber.engine.heard import Chunk, Heard
from services.transcriber.engine.media import SAMPLE_RATE, Samples
from services.transcriber.engine.recording import Task
from services.transcriber.engine.remote import refusals, upload
from services.transcriber.engine.remote.answer import Answer, chunks, code
from services.transcriber.engine.remote.parts import Part, parts
from services.transcriber.engine.remote.server import Question, Server
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.protocol import Options

LONGEST_UPLOAD = 1_200.0
"""Seconds. Some models take no more than 25 minutes, and an upload that is lost should not cost much."""

LONGEST_UNTIMED = 30.0

_LOOK_SECONDS = 0.5

_VERBOSE: dict[str, Any] = {"response_format": "verbose_json"}
_FORMS: tuple[dict[str, Any], ...] = (
    _VERBOSE | {"timestamp_granularities": ["word", "segment"]},
    {"response_format": "json", "include": ["logprobs"]},
    {"response_format": "json"},
)
_TRANSLATING_FORMS: tuple[dict[str, Any], ...] = (_VERBOSE, {"response_format": "json"})


class RemoteRecogniser:
    """`parallel` uploads of at most `most_bytes` at a time."""

    def __init__(self, server: Server, *, model: str, most_bytes: int, parallel: int) -> None:
        self._server, self._model, self._parallel = server, model, parallel
        self._longest = min(LONGEST_UPLOAD, upload.longest(most_bytes))
        self._form: dict[tuple[str, bool], int] = {}
        self._untimed: set[tuple[str, bool]] = set()

    def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:  # noqa: ARG002 - the server has its own batches
        """Transcribe one recording after the other. Raises what `Server.ask` raises."""
        return [self._hear(task) for task in tasks]

    def _hear(self, task: Task) -> Heard:
        samples, speech, options, on_progress, on_heard = task
        kind = (options.model or self._model, options.task == "translate")
        total = sum(span.end - span.start for span in speech)
        pool = ThreadPoolExecutor(self._parallel)
        found = _Found([], [])

        def gather(asked: Sequence[Part]) -> None:
            """Ask about these parts. Progress is told all the while: it raises when nobody wants the answers any more."""
            waiting = {pool.submit(self._ask, part, samples, options): part for part in asked}
            while waiting:
                for future in wait(waiting, _LOOK_SECONDS, FIRST_COMPLETED).done:
                    for chunk in found.add(waiting.pop(future), future):
                        on_heard(chunk.span, "".join(word.text for word in chunk.words).strip())
                on_progress(found.seconds / total)

        try:
            left = parts(speech, samples, self._longest)
            if kind not in self._form:  # the first upload shows what the server can do, and so how long the others may be
                gather(left[:1])
                left = left[1:]
            if kind in self._untimed:
                left = parts([span for part in left for span in part.speech], samples, min(self._longest, LONGEST_UNTIMED))
            gather(left)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return found.together(options, kind[0])

    def _ask(self, part: Part, samples: Samples, options: Options) -> Answer:
        sound = upload.flac(samples[int(part.span.start * SAMPLE_RATE) : int(part.span.end * SAMPLE_RATE)])
        allowed = (options.language,) if options.language else options.allowed_languages
        answer = self._in_some_form(sound, options, allowed[0] if len(allowed) == 1 else None)
        if len(allowed) > 1 and answer.language is not None and code(answer.language) not in allowed:
            return self._in_some_form(sound, options, allowed[0])
        return answer

    def _in_some_form(self, sound: bytes, options: Options, language: str | None) -> Answer:
        """Ask for all there is, and for less where that is refused; a recording that is refused in every form is refused."""
        kind = (options.model or self._model, options.task == "translate")
        forms = _TRANSLATING_FORMS if kind[1] else _FORMS
        hints = " ".join(filter(None, (options.hotwords, options.prompt)))
        for number in range(self._form.get(kind, 0), len(forms)):
            question = Question(*kind, language, hints, options.temperature, forms[number])
            try:
                answer = self._server.ask(sound, question)
            except PermanentError as refusal:
                if refusal.code != refusals.REFUSED or number == len(forms) - 1:
                    raise
            else:
                self._form[kind] = number
                if answer.text and not answer.timed:
                    self._untimed.add(kind)
                return answer
        raise AssertionError  # the last form answers or raises


class _Found(NamedTuple):
    """What came back for which part."""

    answers: list[tuple[Part, Answer]]
    refused: list[tuple[Part, PermanentError]]

    @property
    def seconds(self) -> float:
        return sum(_speech(part) for part, _ in (*self.answers, *self.refused))

    def add(self, part: Part, future: "Future[Answer]") -> list[Chunk]:
        """What is new. Raises what makes the whole recording fail; a refusal may concern this part alone."""
        try:
            answer = future.result()
        except PermanentError as error:
            if error.code != refusals.REFUSED:
                raise
            self.refused.append((part, error))
            return []
        self.answers.append((part, answer))
        return chunks(answer, part, code(answer.language) or "und")

    def together(self, options: Options, model: str) -> Heard:
        """The language is that of most of the speech; servers do not say how sure they are of it. Translations are in English."""
        if self.refused and (options.strict or not self.answers):
            raise self.refused[0][1]
        seconds: dict[str, float] = defaultdict(float)
        found: list[Chunk] = []
        for part, answer in sorted(self.answers, key=lambda each: each[0].span.start):
            language = options.language or code(answer.language) or "und"
            seconds[language] += _speech(part)
            found += chunks(answer, part, "en" if options.task == "translate" else language)
        refused = sorted(self.refused, key=lambda each: each[0].span.start)
        return Heard(
            tuple(found),
            max(seconds, key=lambda language: seconds[language]),
            1.0 if options.language else 0.0,
            model=f"openai {model}",
            notes=tuple(_missing(part, error) for part, error in refused),
            refused=tuple(part.span for part, _ in refused),
        )


def _missing(part: Part, error: PermanentError) -> Note:
    return Note("part_refused", f"{part.span.end - part.span.start:.0f} seconds of the recording are missing. {error.message}")


def _speech(part: Part) -> float:
    return sum(span.end - span.start for span in part.speech)


def connect(settings: EngineSettings) -> RemoteRecogniser:
    """The recogniser that `settings` describe; nothing is asked of the server yet."""
    server = Server(base_url=settings.openai_base_url, key=settings.openai_api_key, timeout=settings.openai_timeout_seconds)
    most_bytes = int(settings.openai_max_upload_mb * 1_000_000)
    return RemoteRecogniser(server, model=settings.openai_model, most_bytes=most_bytes, parallel=settings.openai_parallel)
