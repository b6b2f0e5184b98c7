"""Bytes that no client would send: each costs at most its own connection and a line in the log, and
all of them together no more memory than the broker was given."""

import errno
import random
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.broker import Broker
from harness.clients import CONFLUENT
from harness.wire import API_VERSIONS, FETCH, METADATA, PRODUCE, Closed, Connection, batch, batches, frame, record, string

MIB = 1 << 20
# What `--memory` grants for records, requests and replies (harness/broker.py) …
MEMORY_BYTES = 256 * MIB
# … and what an idle broker and each idle connection may take beside that.
IDLE_BYTES = 64 * MIB
CONNECTION_BYTES = 16 << 10

REQUEST_BYTES_MAX = 8 * MIB
CORRUPT_MESSAGE, MESSAGE_TOO_LARGE = 2, 10
UNSUPPORTED_VERSION, UNSUPPORTED_FOR_MESSAGE_FORMAT, INVALID_RECORD = 35, 43, 87
LOG_SECONDS = 10


@pytest.fixture(scope="module")
def one_broker(tmp_path_factory):
    """All tests of this file ill-treat the same process."""
    directory = tmp_path_factory.mktemp("hostile") / "data"
    broker = Broker(directory, f"--set=socket.request.max.bytes={REQUEST_BYTES_MAX}").start()
    CONFLUENT.create(broker.kafka, "kept", 1)
    yield broker
    assert broker.stop() == 0, broker.log()
    assert "panicked" not in broker.log()


@pytest.fixture
def broker(one_broker):
    yield one_broker
    # Whatever was done to it, it serves, and has never taken more memory than it may.
    with Connection(one_broker.kafka) as connection:
        code, offset = connection.produce("kept", batch([b"after"]))
        assert code == 0
        assert connection.fetch("kept", offset)[2].endswith(b"after\0")
    assert peak_bytes(one_broker) < MEMORY_BYTES + IDLE_BYTES + 1_000 * CONNECTION_BYTES


def status(broker, name):
    lines = Path(f"/proc/{broker.process.pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1])


def peak_bytes(broker):
    return status(broker, "VmHWM") * 1024


def open_files(broker):
    return sum(1 for _ in Path(f"/proc/{broker.process.pid}/fd").iterdir())


def wait_for(reached, what):
    deadline = time.monotonic() + LOG_SECONDS
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def log_lines_about(broker, connection_address, since):
    """The lines after the first `since` characters of the log: ports come back, and an earlier
    connection may have had the same address."""
    peer = "{}:{}".format(*connection_address)
    return [line for line in broker.log()[since:].splitlines() if f"peer={peer} " in line]


def assert_closed_and_logged(broker, sent, logged, end=False):
    """The broker closes the connection on which this comes, and says why."""
    since = len(broker.log())
    with Connection(broker.kafka) as connection:
        address = connection.socket.getsockname()
        try:
            connection.send_bytes(sent)
            if end:
                connection.socket.shutdown(socket.SHUT_WR)
        except (Closed, OSError):
            pass  # It was quicker.
        assert connection.is_closed_by_broker()
    wait_for(lambda: log_lines_about(broker, address, since), f"nothing in the log about {address}")
    [line] = log_lines_about(broker, address, since)
    assert "connection closed" in line and logged in line, line


def sized(size, content=b""):
    return struct.pack(">i", size) + content


TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(250))
HTTP_GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
TWO_BILLION = struct.pack(">i", 2**31 - 1)


@pytest.mark.parametrize(
    "sent, logged",
    [
        pytest.param(frame(METADATA, 0, 1, TWO_BILLION), "Metadata version 0", id="2^31-1 topics in 4 bytes"),
        pytest.param(frame(PRODUCE, 3, 1, b"\xff\xff\0\1\0\0\0\0" + TWO_BILLION), "malformed", id="produce to 2^31-1 topics"),
        pytest.param(frame(FETCH, 4, 1, bytes(17) + TWO_BILLION), "malformed", id="fetch of 2^31-1 topics"),
        pytest.param(sized(-1), "a frame of -1 bytes", id="size -1"),
        pytest.param(sized(0), "a frame of 0 bytes", id="size 0"),
        pytest.param(sized(-(2**31)), "a frame of -2147483648 bytes", id="size -2^31"),
        pytest.param(sized(2**31 - 1), "a frame of 2147483647 bytes", id="size 2^31-1"),
        pytest.param(sized(REQUEST_BYTES_MAX + 1), f"8 to {REQUEST_BYTES_MAX} bytes", id="over the limit"),
        pytest.param(sized(8, struct.pack(">hhi", METADATA, 1, 1)), "Metadata version 1", id="no client id"),
        pytest.param(TLS_HELLO, "a frame of 369295618 bytes", id="TLS"),
        pytest.param(HTTP_GET, "a frame of 1195725856 bytes", id="HTTP"),
        pytest.param(frame(999, 0, 1, b""), "unknown API key 999", id="unknown API"),
        pytest.param(frame(-1, 0, 1, b""), "unknown API key -1", id="API -1"),
    ],
)
def test_what_is_no_request_closes_its_connection_with_a_line_in_the_log(broker, sent, logged):
    assert_closed_and_logged(broker, sent, logged)


@pytest.mark.parametrize("kept_bytes", [1, 4, 5, 11, 20])
def test_a_frame_that_ends_early_is_logged(broker, kept_bytes):
    whole = frame(METADATA, 1, 1, struct.pack(">i", -1) + bytes(10))
    assert_closed_and_logged(broker, whole[:kept_bytes], "the connection ended within a frame", end=True)


def test_a_version_that_is_not_served_closes_the_connection_whatever_the_api(broker):
    with Connection(broker.kafka) as connection:
        apis = connection.api_versions()
    assert {PRODUCE, FETCH, METADATA, API_VERSIONS} < set(apis)
    for api, (lowest, highest) in apis.items():
        if api == API_VERSIONS:
            continue
        # 0 to 2 of Produce are advertised for old clients' sake, and not served.
        unserved = {highest + 1, 2**15 - 1, -1} | set(range(3 if api == PRODUCE else lowest))
        for version in unserved:
            assert_closed_and_logged(broker, frame(api, version, 1, b""), f"has no version {version} here")


@pytest.mark.parametrize("version", [5, 100, 2**15 - 1, -1])
def test_an_unknown_version_of_api_versions_is_told_the_known_ones_in_version_0(broker, version):
    with Connection(broker.kafka) as connection:
        apis = connection.api_versions()
        reply = connection.ask(API_VERSIONS, version, b"\1\2\3")
        code, count = struct.unpack_from(">hi", reply)
        assert code == UNSUPPORTED_VERSION
        assert len(reply) == 6 + 6 * count
        assert struct.pack(">hhh", API_VERSIONS, *apis[API_VERSIONS]) in reply
        # The client goes on, on the same connection.
        assert connection.api_versions() == apis


def test_half_frames_on_500_connections_keep_nobody_from_being_served(broker):
    half = frame(METADATA, 1, 1, bytes(1000))[:500]
    connections = [Connection(broker.kafka) for _ in range(500)]
    for connection in connections:
        connection.send_bytes(half)
    with Connection(broker.kafka) as another:
        assert another.produce("kept", batch([b"between"]))[0] == 0
    for connection in connections:
        connection.socket.close()
    wait_for(lambda: broker.log().count("ended within a frame") >= 500, "not all are in the log")


def test_half_frames_of_the_largest_size_take_no_more_memory_than_the_budget(broker):
    """200 times 7 MiB would be 1.4 GB: what finds no room stays in the sockets."""
    connections = [Connection(broker.kafka) for _ in range(200)]
    missing = dict.fromkeys(connections, REQUEST_BYTES_MAX - MIB)
    for connection in connections:
        connection.send_bytes(sized(REQUEST_BYTES_MAX))
        connection.socket.setblocking(False)
    # As much as the broker takes: until it takes nothing any more.
    idle_rounds = 0
    while idle_rounds < 20:
        idle_rounds += 1
        for connection, missing_bytes in missing.items():
            try:
                missing[connection] -= connection.socket.send(bytes(min(missing_bytes, MIB)))
                idle_rounds = 0 if missing_bytes else idle_rounds
            except BlockingIOError:
                pass
        time.sleep(0.01)
    for connection in connections:
        connection.socket.close()


def test_random_bytes(broker):
    dice = random.Random(20260801)
    with Connection(broker.kafka) as connection:
        apis = sorted(connection.api_versions().items())

    def random_frame():
        api, (lowest, highest) = dice.choice(apis)
        body = dice.randbytes(dice.choice([0, 1, 4, 10, 100, 1000]))
        # Small numbers are more often counts and lengths that fit.
        body = bytes(byte if dice.random() < 0.3 else dice.choice(b"\0\0\0\1\2\xff") for byte in body)
        return frame(api, dice.randint(lowest, highest), 1, body)

    sendings = [dice.randbytes(dice.choice([1, 3, 4, 100, 5000])) for _ in range(100)]
    sendings += [random_frame() for _ in range(1500)]

    def send(sending):
        with Connection(broker.kafka) as connection:
            try:
                connection.send_bytes(sending)
                connection.socket.shutdown(socket.SHUT_WR)
                while True:
                    connection.receive_bytes(1)
            except (Closed, OSError):
                pass  # An answer and the end, or the end at once.

    with ThreadPoolExecutor(8) as senders:
        for done in [senders.submit(send, sending) for sending in sendings]:
            done.result()


def test_kafka_to_the_kinesis_port_and_the_other_way_round(broker):
    host, port = broker.aws.rsplit(":", 1)
    for sent in (frame(METADATA, 1, 1, struct.pack(">i", -1)), TLS_HELLO, random.Random(7).randbytes(5000)):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
            except ConnectionError:
                pass  # Closed before everything was sent.
            except OSError as closed:
                assert closed.errno == errno.ENOTCONN, closed
    put = b"POST / HTTP/1.1\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\nContent-Length: 2\r\n\r\n{}"
    assert_closed_and_logged(broker, put, "a frame of")


def test_thousands_of_connections_opened_and_closed_leave_nothing_behind(broker):
    before = open_files(broker)
    for number in range(5000):
        connection = Connection(broker.kafka)
        if number % 2:
            # An RST instead of a FIN.
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.socket.close()
    wait_for(lambda: open_files(broker) <= before, f"{open_files(broker)} files are open, {before} were")


GOOD = [b"one", b"two", b"three"]


@pytest.mark.parametrize(
    "bad, code",
    [
        pytest.param(batch(GOOD, crc=0x12345678), CORRUPT_MESSAGE, id="wrong CRC"),
        pytest.param(batch(GOOD)[:-1], CORRUPT_MESSAGE, id="cut"),
        pytest.param(batch(GOOD, record_count=2), INVALID_RECORD, id="fewer than there are"),
        pytest.param(batch(GOOD, record_count=4, last_offset_delta=3), INVALID_RECORD, id="more than there are"),
        pytest.param(batch(GOOD, record_count=2**31 - 1, last_offset_delta=2**31 - 2), INVALID_RECORD, id="2^31-1 records"),
        pytest.param(batch(GOOD, last_offset_delta=7), INVALID_RECORD, id="a gap in the offsets"),
        pytest.param(batch(GOOD, record_count=0, last_offset_delta=-1), INVALID_RECORD, id="none"),
        pytest.param(batch(GOOD) + b"more", INVALID_RECORD, id="more behind it"),
        pytest.param(batch(GOOD, magic=0), UNSUPPORTED_FOR_MESSAGE_FORMAT, id="magic 0"),
        pytest.param(batch(GOOD, magic=1), UNSUPPORTED_FOR_MESSAGE_FORMAT, id="magic 1"),
        pytest.param(batch(GOOD, magic=3), UNSUPPORTED_FOR_MESSAGE_FORMAT, id="magic 3"),
    ],
)
def test_a_bad_batch_is_refused_by_its_own_error_and_leaves_no_trace(broker, bad, code):
    with Connection(broker.kafka) as connection:
        _, end = connection.produce("kept", batch([b"before"]))
        assert connection.produce("kept", bad) == (code, -1)
        # On the same connection, at the next offset.
        assert connection.produce("kept", batch([b"behind"])) == (0, end + 1)
        found = batches(connection.fetch("kept", end)[2])
        assert [offset for offset, _ in found] == [end, end + 1]


def test_a_batch_that_unfolds_to_hundreds_of_megabytes_is_refused(broker):
    CONFLUENT.create(broker.kafka, "bombed", 4, max_message_bytes=4 * MIB)
    value = bytes(300 * MIB)
    folder = zlib.compressobj(1, wbits=31)
    folded = folder.compress(record(0, value)) + folder.flush()
    bomb = batch([b""], records=folded, attributes=1)

    def produce(partition):
        with Connection(broker.kafka) as connection:
            return connection.produce("bombed", bomb, partition=partition)

    with ThreadPoolExecutor(4) as producers:
        assert set(producers.map(produce, range(4))) == {(MESSAGE_TOO_LARGE, -1)}
