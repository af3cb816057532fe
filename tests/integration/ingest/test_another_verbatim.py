"""One Verbatim that has another one hear: the `openai` engine's recogniser against a real ingest, whose transcribers are stood in for."""

import asyncio
import json

import asyncpg
import msgspec
import numpy as np
import pytest

from common.database import Pool
from common.errors import PermanentError
from common.jobs.job import Failure, Job
from common.storage import Storage
from common.transcript import Language, Segment, Transcript, Word
from services.ingest.auth import create_key
from services.transcriber.engine.heard import Heard, Span
from services.transcriber.engine.media import Samples
from services.transcriber.engine.recording import Task
from services.transcriber.engine.remote.recogniser import RemoteRecogniser, connect
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.protocol import Options
from tests.running import Services
from tests.transcribing import transcribing

SPEECH = (Span(6.5, 12.0),)
WORDS = (Word("Hello,", 0.1, 0.5, 0.9, "aligned"), Word("this", 0.6, 0.8, 0.9, "aligned"), Word("is", 0.8, 0.9, 0.9, "aligned"))
LINE = Segment(0, 0.1, 1.3, "Hello, this is Diane.", 0.9, (*WORDS, Word("Diane.", 0.9, 1.3, 0.8, "aligned")))
SAID = Transcript(LINE.text, Language("en", 0.9), 5.5, (LINE,), (), {}, {})
EMPTY = Failure("empty_audio", "It is empty.", retryable=False)


@pytest.fixture(scope="session")
def samples(sample: bytes) -> Samples:
    return np.frombuffer(sample[44:], np.int16)


def said(job: Job) -> Transcript | Failure:
    return EMPTY if job.options.prompt == "nothing" else SAID


async def hear(recogniser: RemoteRecogniser, samples: Samples, options: Options) -> Heard:
    [heard] = await asyncio.to_thread(recogniser.hear, [Task(samples, SPEECH, options, lambda _fraction: None)], 4)
    return heard


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # as OpenAI has announced the end of whisper-1
async def test_one_has_another_hear(
    service: Services, pool: Pool, storage: Storage, database: asyncpg.Connection, samples: Samples
) -> None:
    """Words, times and options go both ways; a refusal that comes after the answer has begun is one, and so is a key that is not known."""
    other = await service("ingest", AUTH="on", SYNC_QUIET_SECONDS="0.01")
    key = await create_key(database, tenant="a", name="", scopes=("write",))
    settings = EngineSettings(engine="openai", openai_base_url=f"{other.url}/v1", openai_api_key=key)
    recogniser = connect(settings)
    async with transcribing(pool, storage, said):
        heard = await hear(recogniser, samples, Options(language="en", hotwords="Diane", temperature=0.2))
        translated = await hear(recogniser, samples, Options(task="translate"))
        with pytest.raises(PermanentError, match="It is empty") as refused:
            await hear(recogniser, samples, Options(prompt="nothing"))
    assert refused.value.code == "engine_refused"
    with pytest.raises(PermanentError) as stranger:
        await hear(connect(msgspec.structs.replace(settings, openai_api_key="sk-strange")), samples, Options())
    assert stranger.value.code == "engine_auth"

    [chunk] = heard.chunks
    assert chunk.span == Span(6.6, 7.8), "times are the recording's"
    assert [word.text for word in chunk.words] == [" Hello,", " this", " is", " Diane."]
    assert [word.start for word in chunk.words] == pytest.approx([0.0, 0.5, 0.7, 0.8])
    assert (heard.language, translated.language) == ("en", "en")
    assert "".join(word.text for word in translated.chunks[0].words).strip() == LINE.text
    jobs = await database.fetch("select options, trace from jobs order by id")
    sent = [json.loads(job["options"]) for job in jobs[:2]]
    assert sent == [{"language": "en", "prompt": "Diane", "temperature": 0.2}, {"task": "translate", "temperature": 0.0}]
    assert len({job["trace"].split("-")[1] for job in jobs}) == len(jobs), "each is a trace of its own, though they share a connection"
