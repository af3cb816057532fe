"""`stream=true`: the text as it is heard, by server-sent events, and the whole at the end.

What is heard is provisional and comes in no certain order, and a delta that is out cannot be taken back. So a delta never goes back in
time: what comes late is left to the end, when `transcript.text.done` has the text as it is. Nothing is sent before there is something to
send, or the quiet time is over: until then a failure has a status of its own. Comments keep the connection alive.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from litestar.response.sse import ServerSentEventMessage
from litestar.types import ASGIApp, Receive, Scope, Send

from common.jobs.partials import PartialSegment
from common.transcript import Transcript
from services.ingest.call import Call, Calls, ended, send_body
from services.ingest.feeds import Feeds, Partial
from services.ingest.openai import errors
from services.ingest.openai.answers import Answers, segments
from services.ingest.synchronous import PAD_SECONDS, told
from services.ingest.watching import HEADERS, HEARTBEAT, MEDIA_TYPE


class Deltas:
    """What has been told of a text so far."""

    def __init__(self) -> None:
        self._until = 0.0
        self._begun = False

    def heard(self, segment: PartialSegment) -> str | None:
        """What to tell of it; nothing of what lies before what was told already."""
        return self._tell(segment.start, segment.end, segment.text)

    def rest(self, document: Transcript) -> Iterator[str]:
        """What has not been told of the end."""
        for segment in document.segments:
            delta = self._tell(segment.start, segment.end, segment.text)
            if delta is not None:
                yield delta

    def _tell(self, start: float, end: float, text: str) -> str | None:
        """What lies before by more than half is told already: lines of the transcript are cut in other places than what was heard."""
        if not text or (self._begun and (start + end) / 2 <= self._until):
            return None
        delta = f" {text}" if self._begun else text
        self._until, self._begun = end, True
        return delta


class Streaming:
    """Answers to calls that asked for a stream."""

    def __init__(self, calls: Calls, feeds: Feeds) -> None:
        self._calls = calls
        self._feeds = feeds

    def answer(self, call: Call, answers: Answers, *, diarized: bool) -> ASGIApp:
        """`diarized`: with an event for each segment and its speaker."""

        async def app(_scope: Scope, receive: Receive, send: Send) -> None:
            await call.attended(receive, lambda: self._tell(_Stream(call, send), call, answers, diarized=diarized))

        return app

    async def _tell(self, stream: "_Stream", call: Call, answers: Answers, *, diarized: bool) -> None:
        alive = asyncio.create_task(stream.keep_alive(call.patience.quiet), name=f"alive-{call.job_id}")
        try:
            deltas = Deltas()
            await self._listen(stream, call, deltas)
            outcome = await call.outcome()
            document = outcome.transcript
            for delta in deltas.rest(document):
                await stream.delta(delta)
            for segment in segments(document) if diarized else ():
                await stream.event(segment)
            await stream.event({"type": "transcript.text.done", "text": document.text, **answers.about(document)})
        except Exception as error:
            if not stream.begun:
                raise
            await stream.event(errors.document(told(error)))
        finally:
            await ended(alive)
        await stream.end()

    async def _listen(self, stream: "_Stream", call: Call, deltas: Deltas) -> None:
        """Tell what is heard until the job is final, or the service stops and nobody watches jobs any more."""
        known = await call.standing()
        if self._feeds.full(call.tenant):
            return  # with no room for one more; the end has all of the text
        async with call.limited():
            with self._feeds.watching(known, call.tenant) as feed:
                async with aclosing(self._feeds.follow(feed, known.revision, asyncio.Event())) as following:
                    async for news in following:
                        if isinstance(news, Partial):
                            await stream.delta(deltas.heard(msgspec.json.decode(news.data, type=PartialSegment)))


class _Stream:
    """Events to one client, begun as late as may be."""

    def __init__(self, call: Call, send: Send) -> None:
        self._call = call
        self._send = send
        self._lock = asyncio.Lock()
        self.begun = False

    async def event(self, data: Mapping[str, Any]) -> None:
        await self._write(ServerSentEventMessage(data=msgspec.json.encode(data)).encode())

    async def delta(self, text: str | None) -> None:
        if text is not None:
            await self.event({"type": "transcript.text.delta", "delta": text})

    async def keep_alive(self, quiet: float) -> None:
        """Begin when the quiet time is over, with a comment; others follow."""
        await asyncio.sleep(quiet)
        while True:
            await self._write(HEARTBEAT)
            await asyncio.sleep(PAD_SECONDS)

    async def end(self) -> None:
        await send_body(self._send, b"")

    async def _write(self, data: bytes) -> None:
        async with self._lock:
            if not self.begun:
                self.begun = True
                await self._call.begin(self._send, MEDIA_TYPE, HEADERS)
            await send_body(self._send, data, more=True)
