"""The Kinesis Producer Library, unmodified, with its native program: it puts over TLS, and what it puts together
into aggregated records is kept as it is."""

import hashlib
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from harness.broker import Broker, free_port
from harness.clients import CACHE
from test_kinesis_resharding import shard_id
from test_kinesis_slice import client, iterator, read_all

MAGIC = b"\xf3\x89\x9a\xc2"
COUNT = 1000


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kpl")
    tls = f"127.0.0.1:{free_port()}"
    broker = Broker(folder / "data", f"--aws-tls-listen={tls}", "--aws-tls-self-signed").start()
    yield SimpleNamespace(plain=broker.aws_endpoint, tls=tls, folder=folder)
    assert broker.stop() == 0


class Sts(BaseHTTPRequestHandler):
    """AWS's service that tells who one is. The library asks it for the account in the stream's ARN, and puts nothing
    without an answer; thalweg has no such service."""

    ANSWER = (
        b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        b"<Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId><Account>000000000000</Account>"
        b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
    )

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(self.ANSWER)))
        self.end_headers()
        self.wfile.write(self.ANSWER)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def sts_port(broker):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*(broker.folder / "data/aws-tls" / name for name in ("certificate.pem", "key.pem")))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sts)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def produce(broker, sts_port, stream, count):
    """The shard and the sequence number that the library tells for each record."""
    host, port = broker.tls.split(":")
    command = ["java", "-cp", f"{CACHE}/kpl/classes:{CACHE}/kpl/libs/*", "Producer"]
    command += [host, port, str(sts_port), str(broker.folder), stream, str(count)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr[-5000:]
    return [tuple(line.split("\t")) for line in told.stdout.splitlines()]


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(message):
    """(number, value) of each field of a protobuf message; only those two kinds occur."""
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        value, at = varint(message, at)
        if tag & 7 == 2:
            value, at = message[at : at + value], at + value
        yield tag >> 3, value


def user_records(record):
    """(key, data) of each record in an aggregated one, whose checksum must be good. One alone is not aggregated."""
    data = record["Data"]
    if not data.startswith(MAGIC):
        yield record["PartitionKey"], data
        return
    message, checksum = data[4:-16], data[-16:]
    assert hashlib.md5(message).digest() == checksum
    keys = [value.decode() for number, value in fields(message) if number == 1]
    for number, value in fields(message):
        if number == 3:
            record = dict(fields(value))
            yield keys[record[1]], record[3]


def test_what_it_aggregates_is_kept_untouched(broker, sts_port):
    kinesis = client(broker.plain)
    kinesis.create_stream(StreamName="aggregated", ShardCount=2)

    told = produce(broker, sts_port, "aggregated", COUNT)

    assert len(told) == COUNT
    stored = []
    for shard in range(2):
        start = iterator(kinesis, "aggregated", shard_id(shard))
        stored += [(shard_id(shard), record) for record in read_all(kinesis, start)[0]]
    # It put together what goes to one shard, as soon as it knew the shards, …
    assert len(stored) < COUNT / 2
    # … told of each record where it is, …
    assert {(shard, record["SequenceNumber"]) for shard, record in stored} == set(told)
    # … and nothing of it is missing, changed or there twice.
    found = [one for _, record in stored for one in user_records(record)]
    assert sorted(found) == sorted((f"key-{n // 2 % 7}", b"data-%d" % n) for n in range(COUNT))
