"""A small HTTP/2 server on a free local port.

`/endless` never ends, `/silent` never begins, `/broken` becomes nonsense on the way, what is in `frames` is answered
with the frames there, any other path with a few bytes.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RemoteSettingsChanged, RequestReceived, StreamReset
from h2.exceptions import ProtocolError

CHUNK = bytes(16_000)
Frames = Callable[[int], Iterable[bytes]]
"""The number of a request's stream to the frames that are sent, one after another."""
DATA_OF_NO_STREAM = b"\0\0\1\0\0\0\0\0\0x"


@dataclass(kw_only=True)
class Http2Server:
    """`authorities` are the hosts that requests named, in order; `settings` what the last client said of itself."""

    port: int = 0
    connections: int = 0
    authorities: list[str] = field(default_factory=list)
    settings: dict[int, int] = field(default_factory=dict)
    frames: dict[bytes, Frames] = field(default_factory=dict)
    left_waiting: asyncio.Event = field(default_factory=asyncio.Event)
    reset: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str, host: str) -> str:
        return f"https://{host}:{self.port}{path}"

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._start(self._serve(reader, writer, H2Connection(H2Configuration(client_side=False))))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: H2Connection) -> None:
        protocol.initiate_connection()
        writer.write(protocol.data_to_send())
        try:
            while data := await reader.read(65_536):
                for event in protocol.receive_data(data):
                    if isinstance(event, RequestReceived):
                        self._start(self._answer(writer, protocol, event))
                    if isinstance(event, StreamReset):
                        self.reset.set()
                    if isinstance(event, RemoteSettingsChanged):
                        self.settings = {setting: each.new_value for setting, each in event.changed_settings.items()}
                writer.write(protocol.data_to_send())
        except (ConnectionError, ProtocolError):
            return
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, protocol: H2Connection, event: RequestReceived) -> None:
        headers = dict(event.headers)
        self.authorities.append(headers[b":authority"].decode())
        if headers[b":path"] == b"/silent":
            self.left_waiting.set()
            return
        number = event.stream_id
        if headers[b":path"] in self.frames:
            with suppress(ConnectionError):
                for frame in self.frames[headers[b":path"]](number):
                    writer.write(frame)
                    await writer.drain()
                    await asyncio.sleep(0)
            return
        protocol.send_headers(number, [(":status", "200"), ("content-type", "text/plain")])
        if headers[b":path"] == b"/broken":
            protocol.send_data(number, CHUNK)
            writer.write(protocol.data_to_send())
            await asyncio.sleep(0.05)  # or both would be read at once
            writer.write(DATA_OF_NO_STREAM)
            return
        if headers[b":path"] != b"/endless":
            protocol.send_data(number, b"hello", end_stream=True)
            writer.write(protocol.data_to_send())
            return
        with suppress(ProtocolError, ConnectionError):
            while True:
                room = min(protocol.local_flow_control_window(number), len(CHUNK))
                if room:
                    protocol.send_data(number, CHUNK[:room])
                    writer.write(protocol.data_to_send())
                    await writer.drain()
                await asyncio.sleep(0 if room else 0.001)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@asynccontextmanager
async def http2_server(tls: ssl.SSLContext) -> AsyncIterator[Http2Server]:
    tls.set_alpn_protocols(["h2"])
    server = Http2Server()
    listener = await asyncio.start_server(server.connected, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(server.tasks):
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)
        await listener.wait_closed()
