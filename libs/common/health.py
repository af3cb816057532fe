"""Liveness and readiness that are real: alive means that no watched task has died, ready that every dependency answered just now."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common.lifecycle import Lifecycle

Check = Callable[[], Awaitable[None]]
_CHECK_SECONDS = 5.0


class Health:
    """`checks` name each dependency; a check returns when it is fine and raises when it is not."""

    def __init__(self, life: Lifecycle, checks: Mapping[str, Check]) -> None:
        self._life = life
        self._checks = checks
        self._looking: asyncio.Task[dict[str, str]] | None = None

    @property
    def alive(self) -> bool:
        return self._life.alive

    async def ready(self) -> dict[str, str]:
        """The state of each dependency: `ok`, or what is wrong, in words without hosts or secrets.

        Whoever asks while somebody else's answer is looked up shares it: anybody may ask, and each look costs the dependencies something.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="health-look")
        return await asyncio.shield(self._looking)

    async def _look(self) -> dict[str, str]:
        states = await asyncio.gather(*(_state(check) for check in self._checks.values()))
        found = dict(zip(self._checks, states, strict=True))
        return {**found, "service": "stopping"} if self._life.stopping.is_set() else found


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a dependency makes it not ready
        return f"unavailable ({type(error).__name__})"
    return "ok"


async def serve(health: Health, *, host: str, port: int) -> None:
    """Answer `/health/live`, `/health/ready` and `/metrics` until cancelled, for services that have no HTTP surface of their own."""
    app = web.Application()
    app.router.add_get("/health/live", _live(health))
    app.router.add_get("/health/ready", _ready(health))
    app.router.add_get("/metrics", _metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _live(health: Health) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def live(_request: web.Request) -> web.Response:
        return _answer({"service": "alive" if health.alive else "dead"}, healthy=health.alive)

    return live


def _ready(health: Health) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def ready(_request: web.Request) -> web.Response:
        states = await health.ready()
        return _answer(states, healthy=all(state == "ok" for state in states.values()))

    return ready


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(body: dict[str, str], *, healthy: bool) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=200 if healthy else 503, content_type="application/json")
