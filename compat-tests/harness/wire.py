"""Kafka's protocol by hand, for what no client library sends."""

import socket
import struct
import time

PRODUCE, FETCH, METADATA, API_VERSIONS = 0, 1, 3, 18
# A broker that has not answered by then hangs.
ANSWER_SECONDS = 20


class Closed(Exception):
    """The broker closed the connection."""


class Connection:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS)
        self.correlation_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def receive_bytes(self, count):
        data = bytearray()
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except ConnectionResetError:
                part = b""
            if not part:
                raise Closed
            data += part
        return bytes(data)

    def send(self, api, version, body, flexible=False):
        self.correlation_id += 1
        self.send_bytes(frame(api, version, self.correlation_id, body, flexible))

    def receive(self, flexible=False):
        """A reply's body."""
        [size] = struct.unpack(">i", self.receive_bytes(4))
        reply = self.receive_bytes(size)
        assert struct.unpack(">i", reply[:4]) == (self.correlation_id,)
        if not flexible:
            return reply[4:]
        assert reply[4] == 0, "no tagged field is expected in a header"
        return reply[5:]

    def ask(self, api, version, body, flexible=False):
        self.send(api, version, body, flexible)
        return self.receive(flexible)

    def is_closed_by_broker(self):
        """Waits for its next word, which must be none."""
        try:
            self.receive_bytes(1)
        except Closed:
            return True
        return False

    def produce(self, topic, batch, partition=0, acks=-1):
        """The error code, and the base offset."""
        body = struct.pack(">hhii", -1, acks, 30_000, 1) + string(topic)
        body += struct.pack(">iii", 1, partition, len(batch)) + batch
        reply = self.ask(PRODUCE, 3, body)
        # One topic, one partition.
        return struct.unpack_from(">hq", reply, 4 + 2 + len(topic.encode()) + 4 + 4)

    def fetch(self, topic, offset, partition=0, max_bytes=1 << 20):
        """The error code, the high watermark, and the batches."""
        body = struct.pack(">iiiibi", -1, 0, 0, max_bytes, 0, 1) + string(topic)
        body += struct.pack(">iiqi", 1, partition, offset, max_bytes)
        reply = self.ask(FETCH, 4, body)
        at = 4 + 4 + 2 + len(topic.encode()) + 4 + 4
        code, high_watermark, _, aborted = struct.unpack_from(">hqqi", reply, at)
        at += 22 + 16 * max(aborted, 0)
        [size] = struct.unpack_from(">i", reply, at)
        return code, high_watermark, reply[at + 4 : at + 4 + size]

    def api_versions(self):
        """{api: (lowest version, highest version)}"""
        reply = self.ask(API_VERSIONS, 0, b"")
        code, count = struct.unpack_from(">hi", reply)
        assert code == 0
        ranges = struct.iter_unpack(">hhh", reply[6 : 6 + 6 * count])
        return {api: (low, high) for api, low, high in ranges}


def string(text):
    return struct.pack(">h", len(text.encode())) + text.encode()


def frame(api, version, correlation_id, body, flexible=False):
    """`flexible`: the version has compact fields, and tagged ones behind the header."""
    content = struct.pack(">hhi", api, version, correlation_id) + string("by-hand")
    content += b"\0" * flexible + body
    return struct.pack(">i", len(content)) + content


def _crc_table():
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


_CRC_TABLE = tuple(_crc_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def record(delta, value):
    content = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(content)) + content


def batch(values, *, magic=2, record_count=None, last_offset_delta=None, crc=None, records=None, attributes=0):
    """A record batch as a producer sends it, or with something wrong in it. `records` takes the place
    of the encoded `values`."""
    if records is None:
        records = b"".join(record(delta, value) for delta, value in enumerate(values))
    now = int(time.time() * 1000)
    count = len(values) if record_count is None else record_count
    last = len(values) - 1 if last_offset_delta is None else last_offset_delta
    summed = struct.pack(">hiqqqhii", attributes, last, now, now, -1, -1, -1, count) + records
    crc = crc32c(summed) if crc is None else crc
    return struct.pack(">qiibI", 0, 9 + len(summed), -1, magic, crc) + summed


def batches(data):
    """(base offset, whole batch) of each."""
    at = 0
    while at < len(data):
        base_offset, length = struct.unpack_from(">qi", data, at)
        yield base_offset, data[at : at + 12 + length]
        at += 12 + length
