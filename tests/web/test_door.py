import asyncio
import os
import resource
import socket

from structlog.testing import capture_logs

from rbl.web.door import Door


class Greeter(asyncio.Protocol):
    """Says one octet to whoever was let in."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"!")
        transport.close()


def test_whoever_knocks_is_let_in() -> None:
    """Each connection gets a protocol of its own, until the door is closed."""

    async def knock() -> list[bytes]:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0)
        place = listener.getsockname()
        door = Door(listener, Greeter, "web")
        door.open()
        said = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection(*place)
            said.append(await reader.read())
            writer.close()
        door.close()
        with socket.socket() as late:
            late.settimeout(0)
            try:
                await loop.sock_connect(late, place)
            except ConnectionRefusedError:
                said.append(b"closed")
        return said

    assert [b"!", b"!", b"!", b"closed"] == asyncio.run(knock())


def test_without_descriptors_it_waits_and_says_so_once() -> None:
    """Nothing spins, one line is logged for the whole shortage, and then whoever knocked is let in."""

    async def knock() -> bytes:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0)
        door = Door(listener, Greeter, "web")
        clients = [socket.socket() for _ in range(3)]
        for client in clients:
            client.settimeout(0)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_next_descriptor(), hard))
        try:
            door.open()
            for client in clients:
                await loop.sock_connect(client, listener.getsockname())
            await asyncio.sleep(0.5)  # in which the door tries twice more
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        said = b"".join([await loop.sock_recv(client, 1) for client in clients])
        for client in clients:
            client.close()
        door.close()
        return said

    with capture_logs() as logs:
        assert b"!!!" == asyncio.run(knock())

    assert [("accept_paused", "web", "Too many open files")] == [
        (log["event"], log["part"], log["why"]) for log in logs
    ]


def test_a_door_that_is_closed_in_a_pause_stays_closed() -> None:
    """The pause does not open it again."""

    async def knock() -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0)
        door = Door(listener, Greeter, "web")
        client = socket.socket()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_next_descriptor(), hard))
        try:
            door.open()
            client.connect(listener.getsockname())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        door.close()
        client.close()
        await asyncio.sleep(0.3)  # the pause would be over
        return listener.fileno()

    with capture_logs() as logs:
        assert -1 == asyncio.run(knock())
    assert 1 == len(logs)


def _next_descriptor() -> int:
    """Return the number that the next file would have: with this limit there is none."""
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    return free
