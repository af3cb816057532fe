"""`/v1`: the handlers. Not part of `/schema`: OpenAI's documents describe them, and refusals here are OpenAI's, not problems."""

from typing import Any

from litestar import Request, Response, Router, post
from litestar.types import ASGIApp

from services.ingest import entering, synchronous
from services.ingest.call import Call, Calls
from services.ingest.compat import whisperx_server
from services.ingest.feeds import Feeds
from services.ingest.openai import errors, models
from services.ingest.openai.answers import Answers
from services.ingest.openai.asked import Asked, Task
from services.ingest.openai.models import Models
from services.ingest.openai.streaming import Streaming
from services.ingest.submission import Submissions


def routers(submissions: Submissions, calls: Calls, feeds: Feeds, offered: tuple[str, ...]) -> list[Router]:
    """`/v1/audio/transcriptions`, `/v1/audio/translations`, `/v1/models`, and `/v1/jobs`, which is another service's."""
    known = Models(offered)
    streaming = Streaming(calls, feeds)

    async def answered(request: Request[Any, Any, Any], task: Task) -> ASGIApp:
        asked = Asked(task, known)
        accepted = await entering.submit(submissions, request, asked)
        if asked.earlier.detached:
            return Response(whisperx_server.submitted(accepted.job_id)).to_asgi_response(None, request)
        answers = Answers(asked)
        if asked.stream:
            return streaming.answer(Call(calls, request, accepted), answers, diarized=asked.format == "diarized_json")
        return synchronous.answer(calls, request, accepted, answers if asked.plain else whisperx_server.Inline(answers.failed))

    @post("/audio/transcriptions", status_code=200, request_max_body_size=None, include_in_schema=False)
    async def transcriptions(request: Request[Any, Any, Any]) -> ASGIApp:
        return await answered(request, "transcribe")

    @post("/audio/translations", status_code=200, request_max_body_size=None, include_in_schema=False)
    async def translations(request: Request[Any, Any, Any]) -> ASGIApp:
        return await answered(request, "translate")

    own = Router("/v1", route_handlers=[transcriptions, translations, *models.handlers(known)], exception_handlers=errors.HANDLERS)
    return [own, whisperx_server.router(calls.pool, calls.storage, errors.HANDLERS)]
