"""Watches a room with a QUIC implementation that shares no code with the node's, by the byte tables of docs/WIRE.md.

    aioquic_subscriber.py HOST PORT ROOM watch     palette, frames, a tap that a frame counts, ECN; then the node's close
    aioquic_subscriber.py HOST PORT ROOM misfit    a transport parameter out of range: the node has to say so

Prints `watching` once its tap was counted, and `OK` and what it found at the end. Anything else is an error, which
Python prints. Needs aioquic 1.x; exits with 77 without it.

Not here: what the Rust SDK does. Nothing is shared with it but the document.
"""

import asyncio
import ssl
import struct
import sys
import time

try:
    import aioquic.quic.connection as quic_connection
    from aioquic.asyncio.client import connect
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.events import ConnectionTerminated, StreamDataReceived
except ImportError:
    sys.exit(77)

PATIENCE_S = 30
HELLO, WELCOME = 1, 2
PALETTE, FRAME = 1, 2
SUBSCRIBED = 0
DRAINING = 1
TRANSPORT_PARAMETER_ERROR = 0x8


def hello(room):
    body = struct.pack("<BBBHHI", HELLO, 1, 0, 1, 0, room)
    return struct.pack("<H", len(body)) + body


def reaction(room, emoji, count):
    return struct.pack("<BBHIQ", 1, 0, 1, room, 7) + struct.pack("<HH", emoji, count)


def read_list(archive, at, element_len):
    """Places of a list's elements; the list's 8 bytes are at `at`."""
    pointer, count = struct.unpack_from("<iI", archive, at)
    first = at + pointer
    assert count == 0 or (0 <= first and first + element_len * count <= len(archive)), "a list leaves its archive"
    return [first + element_len * place for place in range(count)]


def read_text(archive, at):
    """The string whose 8 bytes are at `at`."""
    if archive[at] & 0xC0 == 0x80:
        length, pointer = struct.unpack_from("<Ii", archive, at)
        length = (length & 0x3F) | ((length >> 8) << 6)
        place = at + pointer
        assert 0 <= place and place + length <= len(archive), "a string leaves its archive"
        return archive[place : place + length].decode()
    return archive[at : at + 8].split(b"\xff")[0].decode()


def read_palette(archive):
    root = len(archive) - 20
    emoji = [(read_text(archive, at), read_text(archive, at + 8)) for at in read_list(archive, root + 12, 16)]
    return struct.unpack_from("<I", archive, root)[0], read_text(archive, root + 4), emoji


def read_frame(archive):
    root = len(archive) - 41
    room, window_ms, window, start_ms, total, intensity = struct.unpack_from("<IIQQQB", archive, root)
    top = [struct.unpack_from("<QHHB", archive, at) for at in read_list(archive, root + 33, 13)]
    assert len(top) <= 64 and all(before[0] >= after[0] for before, after in zip(top, top[1:])), "most tapped first"
    assert sum(count for count, *_ in top) <= total
    assert all(share == count * 10_000 // total for count, _, share, _ in top)
    assert all(its_intensity <= intensity for *_, its_intensity in top)
    assert start_ms == window * window_ms, "windows begin at multiples of their length"
    assert abs(time.time() * 1000 - start_ms) < 60_000, "unix time"
    return {"room": room, "window": window, "total": total, "top": {emoji: count for count, emoji, *_ in top}}


class Subscriber(QuicConnectionProtocol):
    """Puts bytes of streams together, and tells whoever waits."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.streams = {}
        self.arrived = asyncio.Event()
        self.end = None

    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived):
            self.streams.setdefault(event.stream_id, bytearray()).extend(event.data)
        elif isinstance(event, ConnectionTerminated):
            self.end = event
        self.arrived.set()

    async def wait_for(self, look):
        """What `look` finds, as soon as it finds something."""
        while (found := look()) is None:
            assert self.end is None, f"the node closed the connection: {self.end}"
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), PATIENCE_S)
        return found

    async def take(self, stream, prefix):
        """The next message of a stream, whose length comes first as `prefix`."""
        prefix_len = struct.calcsize(prefix)

        def look():
            buffer = self.streams.get(stream, b"")
            if len(buffer) < prefix_len:
                return None
            (length,) = struct.unpack_from(prefix, buffer)
            assert 1 <= length <= (1287 if prefix_len == 2 else 1_048_576), f"a length of {length}"
            if len(buffer) < prefix_len + length:
                return None
            message = bytes(buffer[prefix_len : prefix_len + length])
            del buffer[: prefix_len + length]
            return message

        return await self.wait_for(look)


def record_ecn():
    """Has aioquic note the ECN counts of the node's acknowledgements, which it reads and forgets."""
    counts = []
    handle = quic_connection.QuicConnection._handle_ack_frame

    def noting(self, context, frame_type, buffer):
        if frame_type == quic_connection.QuicFrameType.ACK_ECN:
            place = buffer.tell()
            quic_connection.pull_ack_frame(buffer)
            counts.append(tuple(buffer.pull_uint_var() for _ in range(3)))
            buffer.seek(place)
        return handle(self, context, frame_type, buffer)

    quic_connection.QuicConnection._handle_ack_frame = noting
    return counts


def misfit():
    """Has aioquic claim that it takes no datagram of 1200 bytes, as every QUIC endpoint must."""
    push = quic_connection.push_quic_transport_parameters

    def pushing(buffer, parameters):
        parameters.max_udp_payload_size = 1199
        return push(buffer, parameters)

    quic_connection.push_quic_transport_parameters = pushing


def connecting(host, port):
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=["uproar/1"], verify_mode=ssl.CERT_NONE, max_datagram_frame_size=1500
    )
    return connect(host, port, configuration=configuration, create_protocol=Subscriber, wait_connected=False)


def mark_ecn(client):
    """Marks what is sent as ECN-capable: ECT(0)."""
    import socket

    udp = client._transport.get_extra_info("socket")
    # The socket serves both families, and IPv4 packets take their mark from IPv4's option.
    udp.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 2)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 2)


async def watch(host, port, room):
    ecn_counts = record_ecn()
    async with connecting(host, port) as client:
        mark_ecn(client)
        client.transmit()
        await asyncio.wait_for(client.wait_connected(), PATIENCE_S)
        control = client._quic.get_next_available_stream_id()
        client._quic.send_stream_data(control, hello(room))
        client.transmit()

        welcome = await client.take(control, "<H")
        assert welcome == struct.pack("<BBBHIB", WELCOME, 1, 0, 1, room, SUBSCRIBED), welcome.hex()

        stream = await client.wait_for(lambda: next((stream for stream in client.streams if stream % 4 == 3), None))
        message = await client.take(stream, "<I")
        assert message[0] == PALETTE, message.hex()
        palette_room, name, emoji = read_palette(message[1:])
        assert palette_room == room and name and emoji and all(name and glyph for name, glyph in emoji)

        frames, seen = [], {}
        # Datagrams may be lost: one a frame, until one is counted.
        while len(frames) < 2 or seen.get(3, 0) == 0:
            client._quic.send_datagram_frame(reaction(room, 3, 40))
            client.transmit()
            message = await client.take(stream, "<I")
            assert message[0] == FRAME, message.hex()
            frame = read_frame(message[1:])
            assert frame["room"] == room
            assert not frames or frame["window"] > frames[-1]["window"], "windows only ever grow"
            frames.append(frame)
            seen = frame["top"]
            assert frame["total"] % 40 == 0 and sum(seen.values()) == frame["total"]
        assert len(frames) < 1000, "the taps are not counted"
        assert ecn_counts, "the node acknowledged nothing with ECN counts"
        ect0, ect1, ce = ecn_counts[-1]
        assert ect0 > 0 and (ect1, ce) == (0, 0), ecn_counts
        print("watching", flush=True)

        while client.end is None:
            client.arrived.clear()
            await asyncio.wait_for(client.arrived.wait(), PATIENCE_S)
        end = client.end
        # As the application closes, and not the transport: there is no frame to blame.
        assert (end.error_code, end.frame_type) == (DRAINING, None) and end.reason_phrase, end
        print(f"OK {len(emoji)} emoji, {len(frames)} frames, {ect0} marks, {end.reason_phrase!r}")


async def be_misfit(host, port):
    misfit()
    async with connecting(host, port) as client:
        client.transmit()
        while client.end is None:
            client.arrived.clear()
            await asyncio.wait_for(client.arrived.wait(), PATIENCE_S)
        assert client.end.error_code == TRANSPORT_PARAMETER_ERROR, client.end
        print(f"OK {client.end.reason_phrase!r}")


def main():
    host, port, room, what = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    task = {"watch": lambda: watch(host, port, room), "misfit": lambda: be_misfit(host, port)}[what]
    asyncio.run(task())


if __name__ == "__main__":
    main()
