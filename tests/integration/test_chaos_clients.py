"""The chaos bench's clients are patient, and not for ever."""

import time

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.chaos.client import Clients, Tracked
from bench.chaos.receiver import Receiver


@pytest.mark.parametrize("text", ['{"code": "database_unavailable"}', "<html>"], ids=["problem", "page"])
async def test_an_api_that_is_always_busy_ends_in_a_verdict(text: str) -> None:
    """Who is answered 503 again and again gives up, says so, and so does who asks for the end of what was accepted before."""

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=503, text=text)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    async with (
        TestServer(app) as server,
        Clients(str(server.make_url("/")), "http://nowhere", Receiver(1, ()), seed=1, patience=0.1) as clients,
    ):
        async with clients.at_work(1):
            await clients.submitted(1)
        assert clients.jobs == []
        assert "POST /api/v1/jobs was not answered: 503" in clients.wrong[0]
        clients.jobs.append(Tracked(tag="1", kind="plain", id="a", sha256="", webhook=False))
        await clients.settle_all(time.monotonic() + 0.1)
        assert "GET /api/v1/jobs/a was not answered: 503" in clients.wrong[-1]
