"""Webhook receivers in a process of their own: `/at-once` answers, `/never` does not until `/release` is asked for.

`/counts` tells how many were answered at once, and how many hang at this moment, since the last `/release`.

`python -m bench._receivers` prints its port, and serves until it is ended.
"""

import asyncio

from aiohttp import web


async def _serve() -> None:
    released = asyncio.Event()
    hung: set[asyncio.Task[None] | None] = set()
    answered = 0

    async def at_once(request: web.Request) -> web.Response:
        nonlocal answered
        await request.read()
        answered += 1
        return web.Response(status=204)

    async def counts(_request: web.Request) -> web.Response:
        return web.json_response({"answered": answered, "hung": len(hung)})

    async def never(request: web.Request) -> web.Response:
        await request.read()
        task = asyncio.current_task()
        hung.add(task)
        try:
            await released.wait()
        finally:
            hung.discard(task)
        return web.Response(status=204)

    async def release(_request: web.Request) -> web.Response:
        nonlocal answered
        answered = 0
        found = [task for task in hung if task is not None]
        released.set()
        if found:
            await asyncio.wait(found)
        released.clear()
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.post("/at-once", at_once), web.post("/never", never), web.post("/release", release), web.get("/counts", counts)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1_024).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
