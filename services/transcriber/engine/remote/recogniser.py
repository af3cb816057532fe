"""A recogniser that has others hear: speech is cut into uploads, a few are on their way at a time, and the answers are put together again.

What a server can do shows when it is asked. Most models give times for words and segments; some refuse the format in which they would,
and have probabilities at best. What works for a model is asked for first from then on. Where there are no times, or it is not known yet
whether there are, uploads are kept short, as words can then only be shared out over an upload's speech.
"""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from common.errors import PermanentError
from common.transcript import Note
from services.transcriber.engine.heard import Chunk, Heard, Span
from services.transcriber.engine.media import SAMPLE_RATE, Samples
from services.transcriber.engine.recording import Task
from services.transcriber.engine.remote import refusals, upload
from services.transcriber.engine.remote.answer import Answer, code, said
from services.transcriber.engine.remote.guarded import Guarded, guard
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
        self._timed: dict[tuple[str, bool], bool] = {}

    def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:  # noqa: ARG002 - the server has its own batches
        """Transcribe one recording after the other. Raises what `Server.ask` raises."""
        return [self._hear(task) for task in tasks]

    def _hear(self, task: Task) -> Heard:
        samples, speech, options, on_progress, on_heard, _ = task
        kind = (options.model or self._model, options.task == "translate")
        total = sum(span.end - span.start for span in speech)
        pool = ThreadPoolExecutor(self._parallel)
        found = _Found(samples, options, [], [])

        def gather(asked: Sequence[Part]) -> None:
            """Ask about these parts. Progress is told all the while: it raises when nobody wants the answers any more."""
            waiting = {pool.submit(self._ask, part, samples, options): part for part in asked}
            while waiting:
                for future in wait(waiting, _LOOK_SECONDS, FIRST_COMPLETED).done:
                    for chunk in found.add(waiting.pop(future), future):
                        on_heard(chunk.span, "".join(word.text for word in chunk.words).strip())
                on_progress(found.seconds / total)

        try:
            left: Sequence[Span] = speech
            at_once = 1
            while left and kind not in self._timed:
                short = parts(left, samples, min(self._longest, LONGEST_UNTIMED))
                gather(short[:at_once])
                left = [span for part in short[at_once:] for span in part.speech]
                at_once = self._parallel
            gather(parts(left, samples, self._longest if self._timed.get(kind) else min(self._longest, LONGEST_UNTIMED)))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return found.together(kind[0])

    def _ask(self, part: Part, samples: Samples, options: Options) -> "_Told":
        sound = upload.flac(samples[int(part.span.start * SAMPLE_RATE) : int(part.span.end * SAMPLE_RATE)])
        allowed = _allowed(options)
        named = allowed[0] if len(allowed) == 1 else None
        answer = self._in_some_form(sound, options, named)
        other = len(allowed) > 1 and answer.language is not None and code(answer.language) not in allowed
        foreign = other and options.task == "transcribe"  # a translation is in English, and nobody can be told what it is of
        if foreign:
            named = allowed[0]
            answer = self._in_some_form(sound, options, named)
        return _Told(answer, named or code(answer.language) or "und", foreign)

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
                if answer.text.strip() or answer.timed:
                    self._timed[kind] = answer.timed and self._timed.get(kind, True)
                return answer
        raise AssertionError  # the last form answers or raises


class _Told(NamedTuple):
    """The language is the one that the server was told, else the one it found; `foreign`: it found another than it was then told."""

    answer: Answer
    language: str
    foreign: bool


class _Answered(NamedTuple):
    part: Part
    told: _Told
    guarded: Guarded


class _Found(NamedTuple):
    """What came back for which part."""

    samples: Samples
    options: Options
    answers: list[_Answered]
    refused: list[tuple[Part, PermanentError]]

    @property
    def seconds(self) -> float:
        return sum(map(_speech, (*(each.part for each in self.answers), *(part for part, _ in self.refused))))

    def add(self, part: Part, future: "Future[_Told]") -> list[Chunk]:
        """What is new. Raises what makes the whole recording fail; a refusal may concern this part alone."""
        try:
            told = future.result()
        except PermanentError as error:
            if error.code != refusals.REFUSED:
                raise
            self.refused.append((part, error))
            return []
        written = "en" if self.options.task == "translate" else told.language
        self.answers.append(_Answered(part, told, guard(said(told.answer, part, written), self.samples)))
        return self.answers[-1].guarded.chunks

    def together(self, model: str) -> Heard:
        """The language is that of most of the speech; servers do not say how sure they are of it. Translations are in English."""
        if self.refused and (self.options.strict or not self.answers):
            raise self.refused[0][1]
        answers = sorted(self.answers, key=lambda each: each.part.span.start)
        refused = sorted(self.refused, key=lambda each: each[0].span.start)
        seconds: dict[str, float] = defaultdict(float)
        for each in answers:
            seconds[each.told.language] += _speech(each.part)
        return Heard(
            tuple(chunk for each in answers for chunk in each.guarded.chunks),
            max(seconds, key=lambda language: seconds[language]),
            1.0 if len(_allowed(self.options)) == 1 else 0.0,
            model=f"openai {model}",
            notes=tuple(_missing(part, error) for part, error in refused),
            refused=tuple(part.span for part, _ in refused),
            invented=tuple(span for each in answers for span in each.guarded.invented),
            looped=tuple(span for each in answers for span in each.guarded.looped),
            foreign=tuple(each.part.span for each in answers if each.told.foreign and each.guarded.chunks),
        )


def _allowed(options: Options) -> tuple[str, ...]:
    """The languages that the recording may be in; none named means any."""
    return (options.language,) if options.language else options.allowed_languages


def _missing(part: Part, error: PermanentError) -> Note:
    return Note("part_refused", f"{part.span.end - part.span.start:.0f} seconds of the recording are missing. {error.message}")


def _speech(part: Part) -> float:
    return sum(span.end - span.start for span in part.speech)


def connect(settings: EngineSettings) -> RemoteRecogniser:
    """The recogniser that `settings` describe; nothing is asked of the server yet."""
    server = Server(base_url=settings.openai_base_url, key=settings.openai_api_key, timeout=settings.openai_timeout_seconds)
    most_bytes = int(settings.openai_max_upload_mb * 1_000_000)
    return RemoteRecogniser(server, model=settings.openai_model, most_bytes=most_bytes, parallel=settings.openai_parallel)
