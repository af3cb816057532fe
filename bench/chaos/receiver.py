"""Who gets the webhooks: fails at first for many of them, and checks every signature with a library that is not ours."""

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

TROUBLE = (*("500", "429", "redirect") * 3, "silence", "cut")
"""With much silence it would be taken for dead, and left alone for minutes."""


class Receiver:
    """`heard[tag]` are the events that were accepted for the job with this tag: (webhook-id, type).

    Signatures are valid that were made with one of `secrets`. `kinds` of trouble: none, where it always answers.
    """

    def __init__(self, seed: int, kinds: Sequence[str]) -> None:
        self._seed = seed
        self._kinds = kinds
        self.secrets: Sequence[str] = ()
        self._trouble: dict[str, list[str]] = {}
        self.heard: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        self.requests = Counter[str]()
        self.invalid: list[str] = []
        self.port = 0

    def expect(self, tag: str) -> None:
        """Webhooks for one job."""
        self._trouble[tag] = troubles(self._seed, tag, self._kinds)

    async def handle(self, request: web.Request) -> web.Response:
        tag = request.path.removeprefix("/")
        body = await request.read()
        if not self._verified(body, dict(request.headers)):
            self.invalid.append(tag)
            return web.Response(status=400)
        trouble = self._trouble[tag].pop() if self._trouble.get(tag) else "none"
        self.requests[trouble] += 1
        if trouble == "none":
            self.heard[tag].add((request.headers["webhook-id"], json.loads(body)["type"]))
            return web.Response(status=204)
        return await _fail(request, trouble)

    def _verified(self, body: bytes, headers: dict[str, str]) -> bool:
        for secret in self.secrets:
            try:
                Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
            except WebhookVerificationError:
                continue
            return True
        return False


def troubles(seed: int, tag: str, kinds: Sequence[str]) -> list[str]:
    """What goes wrong at first with the webhooks of one job, whenever they come; the last of it first."""
    chance = random.Random(f"{seed} receiver {tag}")  # noqa: S311 - makes trouble, guards nothing
    return chance.choices(kinds, k=chance.choice([0, 0, 0, 1, 2])) if kinds else []


async def _fail(request: web.Request, trouble: str) -> web.Response:
    match trouble:
        case "429":
            return web.Response(status=429, headers={"Retry-After": "1"})
        case "redirect":
            return web.Response(status=307, headers={"Location": request.path})
        case "silence":
            await asyncio.sleep(30)
        case "cut":
            assert request.transport is not None
            request.transport.close()
    return web.Response(status=500)


@asynccontextmanager
async def receiving(seed: int, kinds: Sequence[str] = TROUBLE) -> AsyncIterator[Receiver]:
    receiver = Receiver(seed, kinds)
    app = web.Application()
    app.router.add_post("/{tag}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        await runner.cleanup()
