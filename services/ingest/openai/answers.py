"""A transcript in the formats of OpenAI's API, as its clients' types have them."""

import math
from collections.abc import Iterator
from string import ascii_uppercase
from typing import Any

import msgspec

from common import rendering
from common.jobs.job import Job
from common.rendering.layout import Layout
from common.rendering.verbose import verbose
from common.transcript import Transcript
from services.ingest.openai import errors
from services.ingest.openai.asked import Asked
from services.ingest.problems import Problem

_LEAST_PROBABILITY = 1e-10
_NOBODY = "unknown"
_UNDETERMINED = "und"


class Answers:
    """The door of a call that asked for one of them."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.padded = asked.format in {"json", "verbose_json", "diarized_json"}
        self.media_type = "application/json" if self.padded else "text/plain; charset=utf-8"

    def completed(self, job: Job, document: Transcript) -> bytes:
        match self._asked.format:
            case "json":
                return msgspec.json.encode({"text": document.text, **self.about(document), "usage": _usage(document)})
            case "verbose_json":
                return msgspec.json.encode(self._verbose(job, document))
            case "diarized_json":
                return msgspec.json.encode(_diarized(document))
            case "text":
                return f"{document.text}\n".encode()
            case subtitles:
                return rendering.render(document, subtitles, Layout(), rendering.Origin(job.options.task))

    def failed(self, problem: Problem) -> bytes:
        return msgspec.json.encode(errors.document(problem))

    def about(self, document: Transcript) -> dict[str, Any]:
        """What stands beside the text: languages and, where they were asked for, probabilities of words, which stand for tokens here."""
        languages = {"languages": _languages(document)}
        if not self._asked.logprobs:
            return languages
        words = (word for segment in document.segments for word in segment.words)
        return {**languages, "logprobs": [_token(f" {word.word}", word.score) for word in words]}

    def _verbose(self, job: Job, document: Transcript) -> dict[str, Any]:
        """Segments begin with a space, as Whisper's do: joined, they are the text."""
        body: dict[str, Any] = msgspec.to_builtins(verbose(document, task=job.options.task, temperature=job.options.temperature))
        body["segments"] = [{**segment, "text": f" {segment['text']}"} for segment in body["segments"]]
        if job.options.task == "translate":
            body["language"] = "english"
        for granularity, member in (("segment", "segments"), ("word", "words")):
            if granularity not in self._asked.granularities:
                del body[member]
        return {**body, "usage": _usage(document)}


def segments(document: Transcript) -> Iterator[dict[str, Any]]:
    """Each with its speaker, who has a letter: A is who speaks first."""
    letters: dict[str, str] = {}
    for segment in document.segments:
        speaker = _NOBODY if segment.speaker is None else letters.setdefault(segment.speaker, _letter(len(letters)))
        yield {
            "type": "transcript.text.segment",
            "id": f"seg_{segment.id}",
            "start": segment.start,
            "end": segment.end,
            "text": segment.text,
            "speaker": speaker,
        }


def _diarized(document: Transcript) -> dict[str, Any]:
    return {
        "task": "transcribe",
        "duration": document.duration,
        "text": document.text,
        "segments": list(segments(document)),
        "usage": _usage(document),
    }


def _languages(document: Transcript) -> list[dict[str, str]]:
    """The transcript's first; none where nobody speaks."""
    spoken = (document.language.code, *(segment.language for segment in document.segments))
    return [{"code": code} for code in dict.fromkeys(spoken) if code not in {None, _UNDETERMINED}]


def _usage(document: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(document.duration)}


def _token(text: str, probability: float) -> dict[str, Any]:
    return {"token": text, "bytes": list(text.encode()), "logprob": math.log(max(probability, _LEAST_PROBABILITY))}


def _letter(number: int) -> str:
    """A to Z, then AA, AB and so on."""
    rounds, place = divmod(number, len(ascii_uppercase))
    return (_letter(rounds - 1) if rounds else "") + ascii_uppercase[place]
