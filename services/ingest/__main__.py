"""`python -m services.ingest`: the HTTP API. `python -m services.ingest keys …`: its API keys."""

import asyncio
import sys

import uvicorn

from common import cleanup, entry
from common.jobs import partials
from common.jobs.watch import CHANNEL, PROGRESS_CHANNEL, Watch
from common.lifecycle import Lifecycle
from common.service import resources
from services.ingest import app, keys, remote
from services.ingest.bounded_http import BoundedHttp
from services.ingest.feeds import Feeds
from services.ingest.server import Server
from services.ingest.sessions import CHANNEL as SESSIONS
from services.ingest.sessions import Sessions
from services.ingest.settings import Settings

_WEBSOCKET_BYTES = 4_096  # of one message to us, and nobody has anything to say
_KEEP_ALIVE_SECONDS = 75
"""Longer than clients and balancers keep an idle connection: who sends a request while we hang up gets no answer to it."""

_RELAY_SHARE = 0.25
"""Requests do not wait behind the events of a sweep, of which the other services publish the most."""


async def serve(settings: Settings) -> None:
    """Run until told to stop."""
    watch, feeds = Watch(), Feeds()
    sessions = Sessions(feeds.wake)

    def changed(job_id: str) -> None:
        watch.notify(job_id)
        feeds.notify(job_id)

    async with (
        resources(
            "ingest",
            settings,
            notified={
                CHANNEL: changed,
                PROGRESS_CHANNEL: feeds.notify,
                partials.CHANNEL: feeds.hear,
                cleanup.CHANNEL: watch.notify,
                SESSIONS: sessions.notify,
            },
            relay_share=_RELAY_SHARE,
        ) as shared,
        remote.opened(limit=settings.url_timeout, allowed=settings.url_allow_networks) as sources,
    ):
        opened = app.Resources(shared.pool, shared.storage, sources, shared.health, watch, feeds, sessions, shared.life.stopping)
        config = uvicorn.Config(
            app.create(settings, opened),
            host=settings.host,
            port=settings.port,
            http=BoundedHttp,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody here asks from where a client comes
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            lifespan="off",
            ws_max_size=_WEBSOCKET_BYTES,
        )
        shared.life.work("feeds", feeds.run(shared.pool, shared.life.stopping))
        shared.life.work("sessions", sessions.run(shared.pool, shared.life.stopping))
        shared.life.work("http", _http(Server(config), shared.life))
        await shared.life.run()


async def _http(server: Server, life: Lifecycle) -> None:
    serving = asyncio.create_task(server.serve(), name="uvicorn")
    stopping = asyncio.create_task(life.stopping.wait(), name="http-stopping")
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving


def main() -> None:
    settings = entry.settings("ingest", Settings)
    if sys.argv[1:2] == ["keys"]:
        entry.run("ingest", keys.run(settings.database_url, sys.argv[2:]))
    else:
        entry.run("ingest", serve(settings))


if __name__ == "__main__":
    main()
