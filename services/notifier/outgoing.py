"""One request to an address that a user chose, and from which nothing good need come back.

No redirect is followed, no proxy or cookie used, nothing decompressed; of the answer's body no more is read than is kept, and not for long:
the status line has said it all by then. Each attempt has a connection of its own: one kept open may be closed by the receiver at the very
moment it is used again, which would cost the delivery an attempt.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version

import aiohttp
from yarl import URL

from common.errors import PermanentError, TransientError
from common.public_address import AddressRefused, socket_factory
from common.settings import Network
from services.notifier.answer import Answer, Answered, Unanswered

ANSWER_BYTES = 2_048
PUT_TIMES = 10
_ANSWER_SECONDS = 2.0
_LOOK_UPS = 256
_ERROR_CHARACTERS = 500
_HEADERS = {
    "User-Agent": f"Verbatim/{version('verbatim')}",
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
}


class Outgoing:
    """Use `opened`; any number of requests may be made at once. They never raise for anything that a receiver can do."""

    def __init__(self, session: aiohttp.ClientSession, limit: timedelta) -> None:
        self._session = session
        self._limit = limit

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The receiver's answer, or why there was none within the limit."""
        return await self._exchange("POST", url, body, headers, self._limit)

    async def put(self, url: str, chunks: AsyncIterator[bytes], size: int) -> Answer:
        """The same for a body of `size` bytes that passes through, which may take `PUT_TIMES` as long; the URL is taken byte for byte.

        A signature is over the URL as it was signed: spelled in another way that means the same, it would be of another URL.
        """
        try:
            target = URL(url, encoded=True)
        except ValueError:
            return _NOT_VALID
        return await self._exchange("PUT", target, chunks, {"Content-Length": str(size)}, PUT_TIMES * self._limit)

    async def _exchange(
        self, method: str, url: str | URL, body: bytes | AsyncIterator[bytes], headers: Mapping[str, str], limit: timedelta
    ) -> Answer:
        within = aiohttp.ClientTimeout(total=limit.total_seconds(), sock_connect=self._limit.total_seconds())
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False, timeout=within) as response:
                return Answered(
                    status=response.status,
                    beginning=await _beginning(response.content),
                    retry_after=response.headers.get("Retry-After"),
                )
        except TimeoutError:
            return Unanswered(error=f"no answer within {limit.total_seconds():g} s")
        except (aiohttp.InvalidURL, UnicodeError):  # a label that no host name can have is found only by the resolver
            return _NOT_VALID
        except aiohttp.ClientConnectorError as error:
            return Unanswered(error=_text(str(error)), code="address_refused" if isinstance(error.os_error, AddressRefused) else None)
        except aiohttp.ClientResponseError as error:  # its own text would show the URL, which may hold a secret
            return Unanswered(error=_text(f"the answer is not valid HTTP: {error.message}"))
        except (aiohttp.ClientError, OSError) as error:
            return _broken(error)


_NOT_VALID = Unanswered(error="the URL is not valid", code="url_invalid")


def _broken(error: BaseException) -> Unanswered:
    """A connection that ended; where the reason is that what was to be sent could not be read, that."""
    cause = error.__cause__
    if isinstance(cause, PermanentError):
        return Unanswered(error=cause.message, code="result_gone")
    if isinstance(cause, TransientError):
        return Unanswered(error=f"our own store: {cause.message}", ours=True)
    if isinstance(error, aiohttp.ClientOSError):  # its own text may show the URL
        reason = error.__cause__ or (os.strerror(error.errno) if error.errno else "the connection broke")
        return Unanswered(error=_text(f"{type(error).__name__}: {reason}"))
    return Unanswered(error=_text(f"{type(error).__name__}: {error}"))


@asynccontextmanager
async def opened(*, limit: timedelta, allowed: Sequence[Network]) -> AsyncIterator[Outgoing]:
    """Requests to public addresses and those in `allowed`, that wait for an answer no longer than `limit`.

    How many are made at once is the caller's to bound. Names are looked up by the loop's threads, of which asyncio has six on two cores: as
    many names whose servers say nothing would keep all others waiting, our own servers' among them. A thread that waits costs little.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_LOOK_UPS, thread_name_prefix="look-up"))
    connector = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=socket_factory(allowed))
    async with aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        read_bufsize=ANSWER_BYTES,
    ) as session:
        yield Outgoing(session, limit)


async def _beginning(content: aiohttp.StreamReader) -> str:
    """What the body starts with, in text that Postgres takes; what has come when it stalls or breaks."""
    data = b""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            while len(data) < ANSWER_BYTES and (chunk := await content.read(ANSWER_BYTES - len(data))):
                data += chunk
    return _storable(data.decode(errors="replace"))


def _text(error: str) -> str:
    return _storable(" ".join(error.split()))[:_ERROR_CHARACTERS]


def _storable(text: str) -> str:
    """What a text column takes: no NUL, and none of the lone surrogates that stand for bytes which were no UTF-8."""
    return text.encode(errors="replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
