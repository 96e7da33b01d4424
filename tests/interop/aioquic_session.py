"""A WebTransport session by aioquic, written from docs/WIRE.md: what a browser does, without one.

    aioquic_session.py HOST PORT ROOM watch     palette, frames, a tap that a frame counts; then the node's close

Prints `watching` once its tap was counted, and `OK` and what it found at the end. Anything else is an error, which
Python prints. Needs aioquic 1.x; exits with 77 without it.

Not here: messages inside the session, which are those of aioquic_subscriber.py.
"""

import asyncio
import ssl
import struct
import sys

from aioquic_subscriber import DRAINING, FRAME, PALETTE, PATIENCE_S, SUBSCRIBED, WELCOME
from aioquic_subscriber import Subscriber, hello, reaction, read_frame, read_palette

from aioquic.asyncio.client import connect
from aioquic.buffer import Buffer
from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived, WebTransportStreamDataReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamDataReceived

CLOSE_WEBTRANSPORT_SESSION = 0x2843


class Session(Subscriber):
    """Hands what comes to aioquic's HTTP/3, and keeps the bytes of the session's streams."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic, enable_webtransport=True)
        self.status = None
        self.control = None
        self.capsules = bytearray()

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            self.end = event
        elif isinstance(event, StreamDataReceived) and event.stream_id == self.control:
            # aioquic takes the answer on a session's stream that it opened itself for HTTP/3.
            self.streams.setdefault(event.stream_id, bytearray()).extend(event.data)
            self.arrived.set()
            return
        for said in self.http.handle_event(event):
            if isinstance(said, HeadersReceived):
                self.status = dict(said.headers)[b":status"].decode()
            elif isinstance(said, WebTransportStreamDataReceived):
                self.streams.setdefault(said.stream_id, bytearray()).extend(said.data)
            elif isinstance(said, DataReceived):
                self.capsules.extend(said.data)
        self.arrived.set()

    async def open(self, host, port):
        session = self._quic.get_next_available_stream_id()
        self.http.send_headers(
            session,
            [
                (b":method", b"CONNECT"),
                (b":scheme", b"https"),
                (b":authority", f"{host}:{port}".encode()),
                (b":path", b"/v1/webtransport"),
                (b":protocol", b"webtransport"),
                (b"origin", b"https://www.example.com"),
            ],
        )
        self.transmit()
        status = await self.wait_for(lambda: self.status)
        assert status == "200", status
        return session


def connecting(host, port):
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, max_datagram_frame_size=1500
    )
    return connect(host, port, configuration=configuration, create_protocol=Session, wait_connected=True)


def read_close(capsules):
    """Code and reason of the capsule that closes a session."""
    buffer = Buffer(data=bytes(capsules))
    kind, length = buffer.pull_uint_var(), buffer.pull_uint_var()
    assert kind == CLOSE_WEBTRANSPORT_SESSION and buffer.tell() + length == len(capsules), capsules.hex()
    return buffer.pull_uint32(), buffer.pull_bytes(length - 4).decode()


async def watch(host, port, room):
    async with connecting(host, port) as client:
        session = await asyncio.wait_for(client.open(host, port), PATIENCE_S)
        control = client.control = client.http.create_webtransport_stream(session)
        client._quic.send_stream_data(control, hello(room))
        client.transmit()
        welcome = await client.take(control, "<H")
        assert welcome == struct.pack("<BBBHIB", WELCOME, 1, 0, 1, room, SUBSCRIBED), welcome.hex()

        stream = await client.wait_for(lambda: next((stream for stream in client.streams if stream % 4 == 3), None))
        message = await client.take(stream, "<I")
        assert message[0] == PALETTE, message.hex()
        palette_room, name, emoji = read_palette(message[1:])
        assert palette_room == room and name and all(name and glyph for name, glyph in emoji)

        frames, seen = [], {}
        # Datagrams may be lost: one a frame, until one is counted.
        while len(frames) < 2 or seen.get(3, 0) == 0:
            client.http.send_datagram(session, reaction(room, 3, 40))
            client.transmit()
            message = await client.take(stream, "<I")
            assert message[0] == FRAME, message.hex()
            frame = read_frame(message[1:])
            assert frame["room"] == room and frame["total"] % 40 == 0
            assert not frames or frame["window"] > frames[-1]["window"], "windows only ever grow"
            frames.append(frame)
            seen = frame["top"]
            assert len(frames) < 1000, "the taps are not counted"
        print("watching", flush=True)

        while client.end is None:
            client.arrived.clear()
            await asyncio.wait_for(client.arrived.wait(), PATIENCE_S)
        code, reason = read_close(client.capsules)
        assert code == DRAINING and reason, (code, reason)
        assert client.end.error_code == ErrorCode.H3_NO_ERROR, client.end
        print(f"OK {len(emoji)} emoji, {len(frames)} frames, {reason!r}")


def main():
    host, port, room = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    asyncio.run(watch(host, port, room))


main()
