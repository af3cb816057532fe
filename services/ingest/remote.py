"""A recording that lies elsewhere, fetched by its URL, which a user chose: it may lead anywhere, and what is there may do anything.

Connections are made to public addresses and to allowed networks alone; the check sits where the socket is made, so it holds for every
spelling of an address, for names, for names whose answer changes, and for each hop of a redirect. Nothing is decompressed, no cookie, proxy
or credential of ours is sent along. URLs hold secrets: no error, log line or span shows more of one than its host.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from common import tracing
from common.public_address import AddressRefused, socket_factory
from common.settings import Network
from services.ingest.problems import Problem

MAX_REDIRECTS = 3
FIELD = "source.url"
_SCHEMES = ("http", "https")
_REDIRECTS = (301, 302, 303, 307, 308)
_READ_BYTES = 2**16
_CONNECT_SECONDS = 10.0
_STALL_SECONDS = 30.0
_HEADERS = {"User-Agent": f"Verbatim/{version('verbatim')}", "Accept": "*/*", "Accept-Encoding": "identity"}
_NAME = re.compile(r"[^/\\]+\.[A-Za-z0-9]{1,5}")


class Remote:
    """Use `opened`; may fetch any number of recordings at once."""

    def __init__(self, session: aiohttp.ClientSession, limit: timedelta) -> None:
        self._session = session
        self._limit = limit

    @asynccontextmanager
    async def fetch(self, text: str) -> AsyncIterator["Found"]:
        """What lies at the URL `text`, or where its redirects lead. Raises `Problem` when it is refused or cannot be had."""
        url = _checked(text)
        scheme = url.scheme
        with tracing.span("fetch source", kind="client", **{"server.address": url.host or ""}):
            for _ in range(MAX_REDIRECTS + 1):
                with self._explained():
                    response = await self._session.get(url, allow_redirects=False)
                async with response:
                    if response.status not in _REDIRECTS:
                        yield Found(self, url, _successful(response))
                        return
                    url = _next(url, response, scheme)
        raise refused(f"it redirects more than {MAX_REDIRECTS} times")

    async def read(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        """The body as it comes."""
        with self._explained():
            while chunk := await response.content.read(_READ_BYTES):
                yield chunk

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever aiohttp raises as a `Problem`. None of its own texts, which may show the URL."""
        try:
            yield
        except TimeoutError:
            raise unreachable(f"it did not arrive in time (within {self._limit.total_seconds():g} s, never silent for long)") from None
        except (aiohttp.InvalidURL, UnicodeError, ValueError):
            raise refused("it is not a valid URL") from None
        except aiohttp.ClientConnectorDNSError:
            raise unreachable("its host name is not known") from None
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError):
            raise unreachable("its server has no valid certificate") from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, AddressRefused):
                raise refused("its address is not public") from None
            raise unreachable("its server takes no connection") from None
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
            raise unreachable("its server broke off the transfer") from None
        except (aiohttp.ClientError, OSError):
            raise unreachable("its server does not speak proper HTTP") from None


class Found:
    """A body that waits to be read, once; `size` in bytes as far as it was announced."""

    def __init__(self, remote: Remote, url: URL, response: aiohttp.ClientResponse) -> None:
        self._remote = remote
        self._response = response
        self.filename = filename(url)
        self.size = response.content_length

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return self._remote.read(self._response)


@asynccontextmanager
async def opened(*, limit: timedelta, allowed: Sequence[Network], resolver: AbstractResolver | None = None) -> AsyncIterator[Remote]:
    """A `Remote` that reaches public addresses and those in `allowed`, and gives one recording no longer than `limit`."""
    connector = aiohttp.TCPConnector(
        limit=0, force_close=True, use_dns_cache=False, resolver=resolver, socket_factory=socket_factory(allowed)
    )
    timeout = aiohttp.ClientTimeout(total=limit.total_seconds(), sock_connect=_CONNECT_SECONDS, sock_read=_STALL_SECONDS)
    async with aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        yield Remote(session, limit)


def filename(url: URL) -> str:
    """The last part of the path if it looks like a file's name, and empty if it could as well be a secret."""
    return url.name if _NAME.fullmatch(url.name) else ""


def refused(reason: str, **extra: Any) -> Problem:
    """422: we will not go there."""
    return Problem(422, "source_refused", f"The source cannot be fetched: {reason}.", field=FIELD, **extra)


def unreachable(reason: str, **extra: Any) -> Problem:
    """422: we went, and did not get it."""
    return Problem(422, "source_unreachable", f"The source could not be fetched: {reason}.", field=FIELD, **extra)


def _checked(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        raise refused("it is not a valid URL") from None
    if url.scheme not in _SCHEMES:
        raise refused("its scheme is neither http nor https", allowed=list(_SCHEMES))
    if not url.host:
        raise refused("it names no host")
    return url


def _next(url: URL, response: aiohttp.ClientResponse, scheme: str) -> URL:
    location = response.headers.get("Location")
    if location is None:
        raise unreachable("its server redirects to nowhere")
    try:
        following = url.join(URL(location))
    except ValueError:
        raise refused("it redirects to what is not a valid URL") from None
    if following.scheme != scheme:
        raise refused(f"it redirects from {scheme} to another scheme; submit the address that it leads to")
    return _checked(str(following))


def _successful(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    if response.status != 200:
        raise unreachable(f"its server answered with status {response.status}", source_status=response.status)
    return response
