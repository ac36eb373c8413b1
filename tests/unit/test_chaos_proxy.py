"""The proxy: passes on, cuts, refuses, stalls, and heals."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from pipeline.chaos.proxy import Proxies, Proxy
from pipeline.stack.ports import HOST, free_port

ECHOES = set()
OPENED = []


async def echo(reader, writer):
    """Answers in capitals until the other end closes or resets."""
    ECHOES.add(asyncio.current_task())
    with suppress(ConnectionError):
        while data := await reader.read(1000):
            writer.write(data.upper())
    await end(writer)


async def end(writer):
    """Close a connection, and return when it is."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def connect(port):
    """A connection that is closed with the test."""
    streams = await asyncio.open_connection(HOST, port)
    OPENED.append(streams[1])
    return streams


async def end_all(server):
    """Close the server and every connection: what is left open is closed by nobody once the loop has ended."""
    server.close()
    for writer in OPENED:
        await end(writer)
    if ECHOES:
        await asyncio.wait(ECHOES)
    OPENED.clear()
    ECHOES.clear()


@asynccontextmanager
async def proxied():
    server = await asyncio.start_server(echo, HOST, 0)
    proxy = Proxy(free_port(), server.sockets[0].getsockname()[1])
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.cut()
        await end_all(server)


async def ask(streams, text=b"hello", timeout_s=2.0):
    reader, writer = streams
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), timeout_s)


async def closed(streams):
    try:
        return await asyncio.wait_for(streams[0].read(), 2) == b""
    except ConnectionResetError:
        return True


async def test_what_is_sent_goes_through_both_ways():
    async with proxied() as proxy:
        streams = await connect(proxy.port)
        assert await ask(streams) == b"HELLO"
        assert await ask(streams, b"x" * 500_000) == b"X" * 500_000
        assert proxy.passed == 2 * 500_005


async def test_a_cut_drops_connections_and_refuses_new_ones_until_it_is_open_again(caplog):
    async with proxied() as proxy:
        streams = await connect(proxy.port)
        await ask(streams)
        await proxy.cut()
        assert await closed(streams)
        with pytest.raises(ConnectionRefusedError):
            await connect(proxy.port)
        await proxy.open()
        again = await connect(proxy.port)
        assert await ask(again) == b"HELLO"
    assert caplog.records == []


async def test_a_stalled_one_accepts_and_is_silent_and_goes_on_later():
    async with proxied() as proxy:
        streams = await connect(proxy.port)
        await ask(streams)
        await proxy.stall()
        new = await connect(proxy.port)
        for pair in (streams, new):
            with pytest.raises(TimeoutError):
                await ask(pair, timeout_s=0.2)
        await proxy.open()
        for reader, _ in (streams, new):
            assert await asyncio.wait_for(reader.readexactly(5), 2) == b"HELLO"


async def test_an_end_that_closes_closes_the_other():
    async with proxied() as proxy:
        streams = await connect(proxy.port)
        await ask(streams)
        streams[1].write_eof()
        assert await closed(streams)


async def test_a_thread_of_proxies_leads_to_each_node():
    server = await asyncio.start_server(echo, HOST, 0)
    ports = {1: free_port(), 2: free_port()}
    with Proxies(ports) as proxies:
        proxies.lead_to(dict.fromkeys(ports, server.sockets[0].getsockname()[1]))
        await asyncio.to_thread(proxies.cut, 2)
        streams = await connect(ports[1])
        assert await ask(streams) == b"HELLO"
        with pytest.raises(ConnectionRefusedError):
            await connect(ports[2])
        await asyncio.to_thread(proxies.open, 2)
        others = await connect(ports[2])
        assert await ask(others) == b"HELLO"
    await end_all(server)
