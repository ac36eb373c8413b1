"""The proxy: passes on, cuts, refuses, stalls, and heals."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from pipeline.chaos.proxy import Proxies, Proxy
from pipeline.stack.ports import HOST, free_port


async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data.upper())
    writer.close()


@asynccontextmanager
async def proxied():
    server = await asyncio.start_server(echo, HOST, 0)
    proxy = Proxy(free_port(), server.sockets[0].getsockname()[1])
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.cut()
        server.close()
        await asyncio.sleep(0.05)


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
        streams = await asyncio.open_connection(HOST, proxy.port)
        assert await ask(streams) == b"HELLO"
        assert await ask(streams, b"x" * 500_000) == b"X" * 500_000
        assert proxy.passed == 2 * 500_005
        streams[1].close()


async def test_a_cut_drops_connections_and_refuses_new_ones_until_it_is_open_again(caplog):
    async with proxied() as proxy:
        streams = await asyncio.open_connection(HOST, proxy.port)
        await ask(streams)
        await proxy.cut()
        assert await closed(streams)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, proxy.port)
        await proxy.open()
        again = await asyncio.open_connection(HOST, proxy.port)
        assert await ask(again) == b"HELLO"
        again[1].close()
        streams[1].close()
    assert caplog.records == []


async def test_a_stalled_one_accepts_and_is_silent_and_goes_on_later():
    async with proxied() as proxy:
        streams = await asyncio.open_connection(HOST, proxy.port)
        await ask(streams)
        await proxy.stall()
        new = await asyncio.open_connection(HOST, proxy.port)
        for pair in (streams, new):
            with pytest.raises(TimeoutError):
                await ask(pair, timeout_s=0.2)
        await proxy.open()
        for reader, writer in (streams, new):
            assert await asyncio.wait_for(reader.readexactly(5), 2) == b"HELLO"
            writer.close()


async def test_an_end_that_closes_closes_the_other():
    async with proxied() as proxy:
        streams = await asyncio.open_connection(HOST, proxy.port)
        await ask(streams)
        streams[1].write_eof()
        assert await closed(streams)
        streams[1].close()


async def test_a_thread_of_proxies_leads_to_each_node():
    server = await asyncio.start_server(echo, HOST, 0)
    ports = {1: free_port(), 2: free_port()}
    with Proxies(ports) as proxies:
        proxies.lead_to(dict.fromkeys(ports, server.sockets[0].getsockname()[1]))
        await asyncio.to_thread(proxies.cut, 2)
        streams = await asyncio.open_connection(HOST, ports[1])
        assert await ask(streams) == b"HELLO"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, ports[2])
        await asyncio.to_thread(proxies.open, 2)
        others = await asyncio.open_connection(HOST, ports[2])
        assert await ask(others) == b"HELLO"
        for _, writer in (streams, others):
            writer.close()
    server.close()
    await asyncio.sleep(0.05)
