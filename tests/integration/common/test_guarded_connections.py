"""The public-address guard inside an HTTP client, where names are resolved and connections made."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from common.public_address import AddressRefused, socket_factory
from common.settings import Network

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.1/32"),)
NAME = "customer.example"


class Answers(AbstractResolver):
    """A name server in the hands of whoever owns the name: each look-up gets the next answer, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the inherited signature
    ) -> list[ResolveResult]:
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": socket.IPPROTO_TCP,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in addresses
        ]

    async def close(self) -> None:
        """It holds nothing."""


@asynccontextmanager
async def client(resolver: AbstractResolver, allowed: Sequence[Network]) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(resolver=resolver, socket_factory=socket_factory(allowed), use_dns_cache=False, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server on 127.0.0.1; `/inside` redirects to another loopback address."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/inside":
            return web.Response(status=302, headers={"Location": f"http://127.0.0.2:{request.url.port}/"})
        return web.Response(text="reached")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def refused(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether the guard, and nothing else, kept the request from going out."""
    with pytest.raises(aiohttp.ClientConnectorError) as raised:
        await session.get(url)
    return isinstance(raised.value.os_error, AddressRefused)


async def test_an_allowed_network_is_reached(port: int) -> None:
    """What an operator opened is connected to."""
    async with client(Answers(["127.0.0.1"]), LOOPBACK) as session, session.get(f"http://{NAME}:{port}/") as answer:
        assert await answer.text() == "reached"


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["::1", "127.0.0.1", "10.0.0.1"]])
async def test_a_name_that_leads_inside(port: int, addresses: list[str]) -> None:
    """A name is as good as its addresses, however many it has."""
    async with client(Answers(addresses), ()) as session:
        assert await refused(session, f"http://{NAME}:{port}/")


async def test_a_name_with_another_address(port: int) -> None:
    """An address that is refused does not keep a name's other addresses from being tried."""
    async with client(Answers(["10.0.0.1", "127.0.0.1"]), LOOPBACK) as session, session.get(f"http://{NAME}:{port}/") as answer:
        assert answer.status == 200


async def test_a_name_that_changes(port: int) -> None:
    """It is the address of the connection that counts, not that of an earlier look-up."""
    async with client(Answers(["127.0.0.1"], ["127.0.0.2"]), LOOPBACK) as session:
        async with session.get(f"http://{NAME}:{port}/") as answer:
            assert answer.status == 200
        assert await refused(session, f"http://{NAME}:{port}/")


async def test_a_redirect_inside(port: int) -> None:
    """A redirect, for clients that follow them, leads nowhere that a request could not go."""
    async with client(Answers(["127.0.0.1"]), LOOPBACK) as session:
        assert await refused(session, f"http://{NAME}:{port}/inside")
