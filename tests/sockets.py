"""WebSockets as a test opens them: for a machine that takes its time."""

from functools import partial

from websockets.asyncio import client

connect = partial(client.connect, open_timeout=60)
