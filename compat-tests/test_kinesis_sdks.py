"""AWS's SDKs as they are, over whatever encoding and HTTP they choose. What one writes, boto3 and a Kafka client read."""

import socket
import threading
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from harness.kinesis_sessions import SDKS, KinesisError, KinesisSession
from test_kinesis_resharding import MIDDLE, shard_id
from test_kinesis_slice import FIRST_SHARD, client, data_of, iterator, read_all

# Every byte, and more than one frame of HTTP/2.
DATA = bytes(range(256)) * 300
# How the connections of each begin, and whether blobs go over them as they are (CBOR) or in base64 (JSON).
HTTP_1, HTTP_2 = b"POST / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n"
SPOKEN = {
    "java-sync": (HTTP_1, True),
    "java-async": (HTTP_2, True),
    "node": (HTTP_2, False),
    "go": (HTTP_1, False),
    "rust": (HTTP_1, False),
}


@pytest.fixture(scope="module", params=SDKS)
def session(request, broker):
    session = KinesisSession(request.param, broker.aws_endpoint)
    yield session
    assert session.close() == 0


@pytest.fixture
def stream(session, topic):
    """A stream of one shard."""
    session.ask("create", topic, 1)
    return topic


def test_what_is_put_is_read_by_every_iterator_type(session, stream):
    latest = session.iterator(stream, FIRST_SHARD, "LATEST")
    puts = [session.put(stream, "käy", DATA)]
    puts += session.puts(stream, [(f"key-{n}", b"%d" % n) for n in range(100)])
    time.sleep(0.002)
    boundary_ms = time.time_ns() // 1_000_000
    puts += [session.put(stream, "last", b"last")]

    assert [shard for shard, _ in puts] == [FIRST_SHARD] * 102
    sequences = [sequence for _, sequence in puts]
    assert sequences == sorted(set(sequences))
    everything = [("käy", DATA), *((f"key-{n}", b"%d" % n) for n in range(100)), ("last", b"last")]
    starts = [
        (session.iterator(stream, FIRST_SHARD, "TRIM_HORIZON"), 0),
        (latest, 0),
        (session.iterator(stream, FIRST_SHARD, "AT_SEQUENCE_NUMBER", sequences[7]), 7),
        (session.iterator(stream, FIRST_SHARD, "AFTER_SEQUENCE_NUMBER", sequences[7]), 8),
        (session.iterator(stream, FIRST_SHARD, "AT_TIMESTAMP", boundary_ms), 101),
    ]
    for start, first in starts:
        records, following, children = session.records(start)
        assert [(record.key, record.data) for record in records] == everything[first:]
        assert [record.sequence for record in records] == sequences[first:]
        assert following and not children
        assert all(abs(record.time_ms - boundary_ms) < 60_000 for record in records)
    some, following, _ = session.records(starts[0][0], 3)
    more, _, _ = session.records(following, 2)
    assert [record.key for record in some + more] == ["käy", "key-0", "key-1", "key-2", "key-3"]
    assert session.records(session.iterator(stream, FIRST_SHARD, "LATEST"))[0] == []


def test_other_clients_read_the_same_bytes(session, broker, stream):
    session.put(stream, "käy", DATA)
    kinesis = client(broker.aws_endpoint)
    kinesis.put_record(StreamName=stream, PartitionKey="b", Data=DATA[::-1])

    assert data_of(read_all(kinesis, iterator(kinesis, stream))[0]) == [DATA, DATA[::-1]]
    records, _, _ = session.records(session.iterator(stream, FIRST_SHARD, "TRIM_HORIZON"))
    assert [record.data for record in records] == [DATA, DATA[::-1]]
    consumer = Consumer({"bootstrap.servers": broker.kafka, "group.id": "unused"})
    consumer.assign([TopicPartition(stream, 0, 0)])
    message = consumer.consume(1, 30)[0]
    consumer.close()
    assert (message.key().decode(), message.value()) == ("käy", DATA)


def test_shards_are_split_merged_and_listed(session, stream):
    parent_put = session.put(stream, "k", b"parent", hash_key="0")
    session.ask("split", stream, FIRST_SHARD, MIDDLE)
    low, high = session.put(stream, "k", b"low", hash_key="0"), session.put(stream, "k", b"high", hash_key=str(2**128 - 1))
    assert (parent_put[0], low[0], high[0]) == (FIRST_SHARD, shard_id(1), shard_id(2))
    records, following, children = session.records(session.iterator(stream, FIRST_SHARD, "TRIM_HORIZON"))
    assert [record.data for record in records] == [b"parent"]
    assert following is None and children == [shard_id(1), shard_id(2)]

    session.ask("merge", stream, shard_id(1), shard_id(2))
    session.ask("count", stream, 2)

    shards = session.shards(stream)
    middle = int(MIDDLE)
    assert [(shard.parents, shard.first_key, shard.last_key, shard.is_open) for shard in shards] == [
        ((), 0, 2**128 - 1, False),
        ((FIRST_SHARD,), 0, middle - 1, False),
        ((FIRST_SHARD,), middle, 2**128 - 1, False),
        ((shard_id(1), shard_id(2)), 0, 2**128 - 1, False),
        ((shard_id(3),), 0, middle - 1, True),
        ((shard_id(3),), middle, 2**128 - 1, True),
    ]
    assert session.put(stream, "k", b"", hash_key="0")[0] == shard_id(4)


def test_a_consumer_is_pushed_what_is_there_and_what_comes(session, broker, stream):
    if session.sdk == "java-sync":
        pytest.skip("the SDK has SubscribeToShard in its asynchronous client only")
    kinesis = client(broker.aws_endpoint)
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="pushed")["Consumer"]["ConsumerARN"]
    told = session.puts(stream, [(f"key-{n}", DATA[n:]) for n in range(20)])

    def put_more():
        told.extend(session_of_another.puts(stream, [(f"key-{n}", b"%d" % n) for n in range(20, 40)]))

    session_of_another = KinesisSession("go", broker.aws_endpoint)
    later = threading.Timer(0.5, put_more)
    later.start()
    records = session.subscribe(consumer, FIRST_SHARD, 40)
    later.join()
    assert session_of_another.close() == 0

    assert [record.sequence for record in records] == [sequence for _, sequence in told]
    expected = [DATA[n:] for n in range(20)] + [b"%d" % n for n in range(20, 40)]
    assert [record.data for record in records] == expected


def test_errors_have_their_names(session, stream):
    for words, code in [
        (("create", stream, 1), "ResourceInUseException"),
        (("shards", "not-there"), "ResourceNotFoundException"),
        (("split", stream, shard_id(7), "5"), "ResourceNotFoundException"),
        (("records", "no-iterator", 1), "InvalidArgumentException"),
    ]:
        with pytest.raises(KinesisError) as refused:
            session.ask(*words)
        assert refused.value.code == code, refused.value
    assert session.put(stream, "k", b"and goes on")[0] == FIRST_SHARD
    session.ask("delete", stream)
    with pytest.raises(KinesisError, match=f"ResourceNotFoundException: Stream {stream} under account"):
        session.ask("shards", stream)


def test_each_speaks_what_we_say_it_does(session, broker, topic):
    """So that the tests above are of both encodings over both versions of HTTP."""
    begins, is_binary = SPOKEN[session.sdk]
    with Relay(broker.aws_endpoint) as relay:
        relayed = KinesisSession(session.sdk, relay.endpoint)
        relayed.ask("create", topic, 1)
        relayed.put(topic, "k", bytes(range(256)))
        assert relayed.close() == 0
    assert relay.sent.startswith(begins), relay.sent[:100]
    assert (bytes(range(256)) in relay.sent) == is_binary


class Relay:
    """Passes connections on, and keeps what clients send."""

    def __init__(self, endpoint):
        host, port = endpoint.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = b""

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:  # closed
                return
            far = socket.create_connection(self._target)
            for source, sink, kept in [(near, far, True), (far, near, False)]:
                threading.Thread(target=self._pass_on, args=(source, sink, kept), daemon=True).start()

    def _pass_on(self, source, sink, kept):
        try:
            while data := source.recv(1 << 16):
                if kept:
                    self.sent += data
                sink.sendall(data)
        except OSError:  # either side has gone
            pass
        sink.close()
