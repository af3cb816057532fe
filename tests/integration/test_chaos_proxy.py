"""The proxies of chaos lose nothing that they were not told to lose."""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter

from bench.chaos.proxy import Proxy


async def greet(_reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()


async def test_whoever_comes_is_led_to_a_target_that_is_up() -> None:
    """However many come at once while another is down: what they do not share is where each has already been."""
    with socket.socket() as down:
        down.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        proxy = Proxy(lambda: down.getsockname()[1], lambda: server.sockets[0].getsockname()[1])
        await proxy.start()

        async def heard() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            try:
                return await reader.read()
            finally:
                writer.close()

        for count in range(2, 12):  # an even number of turns would lead those back whom an odd one leads astray
            assert await asyncio.gather(*(heard() for _ in range(count))) == [b"hello"] * count
        await proxy.stop()
        server.close()
        await server.wait_closed()
