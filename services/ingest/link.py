"""A recording that lies elsewhere: it is fetched while it is stored, and its URL is kept nowhere."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from common.jobs.options import Options
from services.ingest import recording
from services.ingest.problems import too_large
from services.ingest.recording import OpenSink, Received
from services.ingest.remote import Found, Remote


class Link:
    """A recording by its URL."""

    upload = None

    def __init__(self, url: str, options: Options, remote: Remote, limit: int) -> None:
        self._url = url
        self._options = options
        self._remote = remote
        self._limit = limit

    async def receive(self, into: OpenSink) -> Received:
        async with self._remote.fetch(self._url) as found, aclosing(self._limited(found)) as chunks:
            source = await recording.receive(found.filename, chunks, into)
        return Received(source, self._options, await self.identify())

    async def identify(self) -> bytes:
        """The URL stands for the recording: what lies there now may be gone when the request comes again."""
        return recording.fingerprint(self._options, self._url)

    async def _limited(self, found: Found) -> AsyncGenerator[bytes, None]:
        if (found.size or 0) > self._limit:
            raise too_large(self._limit)
        received = 0
        async with aclosing(found.chunks()) as chunks:
            async for chunk in chunks:
                received += len(chunk)
                if received > self._limit:
                    raise too_large(self._limit)
                yield chunk
