"""Enhanced fan-out: SubscribeToShard pushes a shard's records to registered consumers, as boto3 sees it."""

import base64
import http.client
import json
import struct
import threading
import time
import urllib.request
import uuid
import zlib

import pytest
from botocore.exceptions import EventStreamError
from confluent_kafka import Producer

from test_kinesis_protocol import CBOR, members, text
from test_kinesis_resharding import MIDDLE, shard_id, shards_of
from test_kinesis_slice import FIRST_SHARD, client, data_of, error_of

ACCOUNT = "000000000000"
# While a consumer's last call for a shard is younger, another one is refused.
UNDISTURBED_SECONDS = 5
PATIENCE_SECONDS = 60


@pytest.fixture
def kinesis(broker):
    return client(broker.aws_endpoint)


@pytest.fixture
def stream(kinesis, topic):
    """A stream of one shard."""
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    return topic


def arn_of(kinesis, stream):
    return kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]


def register(kinesis, stream, name=None):
    """A new consumer's ARN."""
    name = name or f"c-{uuid.uuid4().hex[:8]}"
    answer = kinesis.register_stream_consumer(StreamARN=arn_of(kinesis, stream), ConsumerName=name)
    return answer["Consumer"]["ConsumerARN"]


class Subscription:
    """One call of SubscribeToShard and the events that came of it."""

    def __init__(self, endpoint, consumer, shard=FIRST_SHARD, **position):
        # Its own client: the streams of one share a pool of ten connections.
        self.client = client(endpoint, read_timeout=PATIENCE_SECONDS)
        position = {"Type": position.pop("kind", "TRIM_HORIZON"), **position}
        answer = self.client.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition=position)
        self.stream = answer["EventStream"]
        self.events = iter(self.stream)

    def next(self):
        return next(self.events)["SubscribeToShardEvent"]

    def records(self, count):
        """The next `count` records, and the last event."""
        records = []
        while len(records) < count:
            event = self.next()
            records += event["Records"]
        assert len(records) == count
        return records, event

    def rest(self):
        """All events until the stream ends."""
        return [event["SubscribeToShardEvent"] for event in self.events]

    def failure(self):
        """The exception that ends the stream: its name and message."""
        with pytest.raises(EventStreamError) as caught:
            self.rest()
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    def close(self):
        self.stream.close()


@pytest.fixture
def subscribe(broker):
    made = []

    def make(consumer, shard=FIRST_SHARD, **position):
        made.append(Subscription(broker.aws_endpoint, consumer, shard, **position))
        return made[-1]

    yield make
    for subscription in made:
        subscription.close()


def test_what_is_put_is_pushed(kinesis, stream, subscribe):
    consumer = register(kinesis, stream)
    kinesis.put_record(StreamName=stream, Data=b"before", PartitionKey="k")
    subscription = subscribe(consumer, kind="LATEST")
    assert subscription.next()["Records"] == []

    put = kinesis.put_record(StreamName=stream, Data=b"\x00\xff", PartitionKey="kéy")

    [record], event = subscription.records(1)
    assert (record["Data"], record["PartitionKey"]) == (b"\x00\xff", "kéy")
    assert record["SequenceNumber"] == put["SequenceNumber"] == event["ContinuationSequenceNumber"]
    assert event["MillisBehindLatest"] == 0 and "ChildShards" not in event
    # What GetRecords shows of it.
    start = kinesis.get_shard_iterator(
        StreamName=stream,
        ShardId=FIRST_SHARD,
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=put["SequenceNumber"],
    )["ShardIterator"]
    assert kinesis.get_records(ShardIterator=start)["Records"] == [record]


def test_every_starting_position_begins_where_it_says(kinesis, stream, subscribe):
    numbers = []
    for n in range(3):
        numbers.append(kinesis.put_record(StreamName=stream, Data=b"%d" % n, PartitionKey="k")["SequenceNumber"])
        time.sleep(0.01)
    all_records, _ = subscribe(register(kinesis, stream)).records(3)
    when = all_records[1]["ApproximateArrivalTimestamp"]
    for position, expected in [
        ({"kind": "TRIM_HORIZON"}, [b"0", b"1", b"2"]),
        ({"kind": "LATEST"}, []),
        ({"kind": "AT_SEQUENCE_NUMBER", "SequenceNumber": numbers[1]}, [b"1", b"2"]),
        ({"kind": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": numbers[1]}, [b"2"]),
        ({"kind": "AT_TIMESTAMP", "Timestamp": when}, [b"1", b"2"]),
    ]:
        event = subscribe(register(kinesis, stream), **position).next()
        assert data_of(event["Records"]) == expected, position


def test_who_goes_on_after_the_last_number_misses_nothing_and_sees_nothing_twice(kinesis, stream, subscribe):
    consumer = register(kinesis, stream)
    number, read = None, []
    for n in range(3):
        position = {"kind": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number} if number else {"kind": "LATEST"}
        subscription = subscribe(consumer, **position)
        # The first number is of an empty shard.
        event = subscription.next()
        read += data_of(event["Records"])
        number = event["ContinuationSequenceNumber"]
        subscription.close()
        kinesis.put_record(StreamName=stream, Data=b"%d" % n, PartitionKey="k")
        time.sleep(UNDISTURBED_SECONDS + 0.1)
    event = subscribe(consumer, kind="AFTER_SEQUENCE_NUMBER", SequenceNumber=number).next()
    assert read + data_of(event["Records"]) == [b"0", b"1", b"2"]


def test_a_quiet_shard_still_has_events(kinesis, stream, subscribe):
    subscription = subscribe(register(kinesis, stream), kind="LATEST")
    first, second = subscription.next(), subscription.next()
    assert first == second
    assert (first["Records"], first["MillisBehindLatest"]) == ([], 0)


def test_a_second_call_is_refused_for_five_seconds_and_then_takes_over(kinesis, stream, subscribe):
    consumer = register(kinesis, stream, "app")
    first = subscribe(consumer, kind="LATEST")
    first.next()
    position = {"ConsumerARN": consumer, "ShardId": FIRST_SHARD, "StartingPosition": {"Type": "LATEST"}}
    message = f"Another active subscription exists for this consumer: {ACCOUNT}:{stream}:{FIRST_SHARD}:app"
    error = error_of(kinesis.subscribe_to_shard, **position)
    assert (error["Code"], error["Message"]) == ("ResourceInUseException", message)
    # It goes on, undisturbed; and other consumers are not concerned.
    subscribe(register(kinesis, stream), kind="LATEST")
    kinesis.put_record(StreamName=stream, Data=b"1", PartitionKey="k")
    assert data_of(first.records(1)[0]) == [b"1"]

    time.sleep(UNDISTURBED_SECONDS)
    second = subscribe(consumer, kind="LATEST")

    assert first.failure() == ("ResourceInUseException", message)
    kinesis.put_record(StreamName=stream, Data=b"2", PartitionKey="k")
    assert data_of(second.records(1)[0]) == [b"2"]


def test_a_split_shard_ends_with_its_children(kinesis, stream, subscribe):
    consumer = register(kinesis, stream)
    subscription = subscribe(consumer)
    subscription.next()
    kinesis.put_record(StreamName=stream, Data=b"before", PartitionKey="k")

    kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST_SHARD, NewStartingHashKey=MIDDLE)

    events = subscription.rest()
    assert [data for event in events for data in data_of(event["Records"])] == [b"before"]
    assert all("ChildShards" not in event for event in events[:-1])
    last = events[-1]
    assert "ContinuationSequenceNumber" not in last
    children = shards_of(kinesis, stream)[1:]
    assert last["ChildShards"] == [
        {"ShardId": child["ShardId"], "ParentShards": [FIRST_SHARD], "HashKeyRange": child["HashKeyRange"]}
        for child in children
    ]
    # The same for one who comes later, and from its end.
    events = subscribe(register(kinesis, stream), kind="LATEST").rest()
    assert events[-1]["ChildShards"] == last["ChildShards"]
    assert not any(event["Records"] for event in events)


def test_a_tree_of_shards_is_followed_while_it_grows(kinesis, broker, stream, subscribe):
    """Records are put while the stream is split and merged: consumers that go from shards to their children get
    each once, and a key's in order."""
    consumer = register(kinesis, stream)
    read, failures, followers = {}, [], []
    lock = threading.Lock()

    def follow(shard):
        try:
            found, event = [], {}
            subscription = Subscription(broker.aws_endpoint, consumer, shard)
            while b"end" not in found and "ChildShards" not in event:
                event = subscription.next()
                found += data_of(event["Records"])
            subscription.close()
            with lock:
                read[shard] = found
                begun = {follower.name for follower in followers}
                for child in event.get("ChildShards", []):
                    if child["ShardId"] not in begun:
                        begin(child["ShardId"])
        except Exception as error:
            failures.append(error)

    def begin(shard):
        followers.append(threading.Thread(target=follow, args=(shard,), name=shard))
        followers[-1].start()

    begin(FIRST_SHARD)
    keys = [f"key-{n}" for n in range(16)]
    rounds, stop = [], threading.Event()

    def write():
        door = client(broker.aws_endpoint)
        while not stop.is_set():
            records = [{"Data": b"%s %d" % (key.encode(), len(rounds)), "PartitionKey": key} for key in keys]
            answer = door.put_records(StreamName=stream, Records=records)
            if answer["FailedRecordCount"]:
                failures.append(answer)
                return
            rounds.append(answer)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for target in (2, 4, 2, 3, 2):
            kinesis.update_shard_count(StreamName=stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
    finally:
        stop.set()
        writer.join()
    for shard in shards_of(kinesis, stream, ShardFilter={"Type": "AT_LATEST"}):
        key = shard["HashKeyRange"]["StartingHashKey"]
        kinesis.put_record(StreamName=stream, Data=b"end", PartitionKey="k", ExplicitHashKey=key)
    for follower in followers:
        follower.join(PATIENCE_SECONDS)
        assert not follower.is_alive() and not failures, failures

    shards = {shard["ShardId"]: shard for shard in shards_of(kinesis, stream)}
    assert read.keys() == shards.keys()
    # Numbers of shards rise from parents to children.
    found = [data.decode().split() for shard in sorted(read) for data in read[shard] if data != b"end"]
    for key in keys:
        assert [int(number) for name, number in found if name == key] == list(range(len(rounds))), key


def test_the_end_of_the_consumer_or_of_the_stream_ends_a_subscription(kinesis, stream, subscribe):
    consumer, other = register(kinesis, stream, "app"), register(kinesis, stream)
    subscription, others = subscribe(consumer, kind="LATEST"), subscribe(other, kind="LATEST")
    for each in (subscription, others):
        each.next()

    kinesis.deregister_stream_consumer(ConsumerARN=consumer)

    assert subscription.failure() == (
        "ResourceNotFoundException",
        f"Consumer app, account {ACCOUNT} not found.",
    )
    kinesis.put_record(StreamName=stream, Data=b"1", PartitionKey="k")
    assert data_of(others.records(1)[0]) == [b"1"]
    kinesis.delete_stream(StreamName=stream, EnforceConsumerDeletion=True)
    assert others.failure() == (
        "ResourceNotFoundException",
        f"Stream {stream} under account {ACCOUNT} not found.",
    )


def test_what_kafka_producers_write_is_pushed_and_what_they_abort_is_not(kinesis, broker, stream, subscribe):
    subscription = subscribe(register(kinesis, stream), kind="LATEST")
    subscription.next()
    plain = Producer({"bootstrap.servers": broker.kafka, "compression.type": "zstd"})
    plain.produce(stream, b"plain", b"key")
    assert plain.flush(30) == 0
    [record], _ = subscription.records(1)
    assert (record["Data"], record["PartitionKey"]) == (b"plain", "key")

    transactional = Producer({"bootstrap.servers": broker.kafka, "transactional.id": stream})
    transactional.init_transactions(30)
    for value, end in [(b"aborted", transactional.abort_transaction), (b"committed", transactional.commit_transaction)]:
        transactional.begin_transaction()
        transactional.produce(stream, value, b"key")
        assert transactional.flush(30) == 0
        end(30)
    assert data_of(subscription.records(1)[0]) == [b"committed"]


def test_twenty_consumers_get_every_record_of_one_shard(kinesis, stream, subscribe):
    subscriptions = [subscribe(register(kinesis, stream), kind="LATEST") for _ in range(20)]
    for subscription in subscriptions:
        subscription.next()
    puts = 20
    for n in range(puts):
        records = [{"Data": b"%d-%d" % (n, place), "PartitionKey": "k"} for place in range(10)]
        kinesis.put_records(StreamName=stream, Records=records)
    expected = [b"%d-%d" % (n, place) for n in range(puts) for place in range(10)]
    for subscription in subscriptions:
        assert data_of(subscription.records(len(expected))[0]) == expected


def resident_bytes(broker):
    for line in open(f"/proc/{broker.process.pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024


def metric(broker, name):
    with urllib.request.urlopen(f"{broker.admin_endpoint}/metrics", timeout=30) as page:
        for line in page.read().decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])


def test_slow_readers_hold_up_nobody_and_take_bounded_memory(own_broker, topic):
    broker = own_broker().start()
    kinesis = client(broker.aws_endpoint)
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    # Far more than the sockets' buffers hold.
    count, size = 64, 500_000
    for n in range(count // 8):
        records = [{"Data": b"%03d" % (8 * n + m) + bytes(size), "PartitionKey": "k"} for m in range(8)]
        assert kinesis.put_records(StreamName=topic, Records=records)["FailedRecordCount"] == 0

    def subscription():
        return Subscription(broker.aws_endpoint, register(kinesis, topic))

    def numbers(records):
        return [int(data[:3]) for data in data_of(records)]

    # What one reader takes, tails and caches included, has been taken before it is measured.
    assert numbers(subscription().records(count)[0]) == list(range(count))
    before = resident_bytes(broker)
    slow = [(subscription(), []) for _ in range(10)]
    fast, got = subscription(), []
    while len(got) < count:
        got += numbers(fast.next()["Records"])
        # Whoever takes nothing for half a minute loses his connection.
        if len(got) % 16 == 0:
            for reader, had in slow:
                had += numbers(reader.next()["Records"])

    assert got == list(range(count))
    assert all(len(had) <= 4 for _, had in slow)
    assert metric(broker, "thalweg_aws_event_streams") >= 11
    grown = resident_bytes(broker) - before
    assert grown < 64 << 20, f"{grown} bytes for 10 readers that have {count * size} before them each"
    assert metric(broker, "thalweg_aws_memory_bytes") <= metric(broker, "thalweg_aws_memory_max_bytes") / 2
    reader, had = slow[0]
    assert had + numbers(reader.records(count - len(had))[0]) == list(range(count)), "all, when it reads"
    assert broker.stop() == 0


def test_a_broker_that_stops_ends_subscriptions_and_a_number_is_good_after_its_return(own_broker, topic):
    broker = own_broker().start()
    kinesis = client(broker.aws_endpoint)
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    consumer = register(kinesis, topic)
    kinesis.put_record(StreamName=topic, Data=b"1", PartitionKey="k")
    subscription = Subscription(broker.aws_endpoint, consumer)
    number = subscription.records(1)[1]["ContinuationSequenceNumber"]

    assert broker.stop() == 0
    assert subscription.rest() == []

    broker.start()
    kinesis.put_record(StreamName=topic, Data=b"2", PartitionKey="k")
    again = Subscription(broker.aws_endpoint, consumer, kind="AFTER_SEQUENCE_NUMBER", SequenceNumber=number)
    assert data_of(again.records(1)[0]) == [b"2"]


# The wire


def messages(answer):
    """The messages of an event stream, each with its headers and payload."""
    while True:
        prelude = answer.read(12)
        if not prelude:
            return
        total, header_bytes, checksum = struct.unpack(">III", prelude)
        assert checksum == zlib.crc32(prelude[:8])
        rest = answer.read(total - 12)
        assert zlib.crc32(prelude + rest[:-4]) == struct.unpack(">I", rest[-4:])[0]
        headers, left = {}, rest[:header_bytes]
        while left:
            name, left = left[1 : 1 + left[0]], left[1 + left[0] :]
            assert left[0] == 7
            (length,) = struct.unpack(">H", left[1:3])
            headers[name.decode()], left = left[3 : 3 + length].decode(), left[3 + length :]
        yield headers, rest[header_bytes:-4]


@pytest.mark.parametrize("encoding", ["json", "cbor"])
def test_a_stream_begins_with_the_initial_response_in_the_requests_encoding(kinesis, broker, stream, encoding):
    consumer = register(kinesis, stream)
    kinesis.put_record(StreamName=stream, Data=b"\x00\xff\x01", PartitionKey="k")
    position = {"Type": "TRIM_HORIZON"}
    body = json.dumps({"ConsumerARN": consumer, "ShardId": FIRST_SHARD, "StartingPosition": position})
    content_type = "application/x-amz-json-1.1"
    if encoding == "cbor":
        content_type = CBOR
        body = members(
            ConsumerARN=text(consumer), ShardId=text(FIRST_SHARD), StartingPosition=members(Type=text("TRIM_HORIZON"))
        )
    connection = http.client.HTTPConnection(broker.aws_endpoint.removeprefix("http://"), timeout=PATIENCE_SECONDS)
    headers = {"Content-Type": content_type, "X-Amz-Target": "Kinesis_20131202.SubscribeToShard"}
    connection.request("POST", "/", body, headers)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (200, "application/vnd.amazon.eventstream")
    got = messages(answer)

    headers, payload = next(got)
    assert (headers[":message-type"], headers[":event-type"]) == ("event", "initial-response")
    assert payload == (b"{}" if encoding == "json" else b"\xa0")
    headers, payload = next(got)
    assert headers == {
        ":message-type": "event",
        ":event-type": "SubscribeToShardEvent",
        ":content-type": f"application/{encoding}",
    }
    if encoding == "json":
        [record] = json.loads(payload)["Records"]
        assert base64.b64decode(record["Data"]) == b"\x00\xff\x01"
    else:
        assert b"\x64Data\x43\x00\xff\x01" in payload
        assert b"\x78\x1bApproximateArrivalTimestamp\xc1\x1b" in payload

    kinesis.deregister_stream_consumer(ConsumerARN=consumer)
    headers, payload = [message for message in got][-1]
    assert (headers[":message-type"], headers[":exception-type"]) == ("exception", "ResourceNotFoundException")
    assert b"not found." in payload
    connection.close()


def test_what_cannot_be_subscribed_to_is_refused(kinesis, stream):
    consumer = register(kinesis, stream, "app")
    latest = {"Type": "LATEST"}
    for request, code, message in [
        ({"ConsumerARN": consumer.replace("/app:", "/nobody:")}, "ResourceNotFoundException", f"Consumer nobody, account {ACCOUNT} not found."),
        ({"ShardId": shard_id(9)}, "ResourceNotFoundException", f"Could not find shard {shard_id(9)} in stream {stream} under account {ACCOUNT}."),
        ({"StartingPosition": {"Type": "AT_TIMESTAMP", "Timestamp": 4e9}}, "InvalidArgumentException", "The timestampInMillis parameter cannot be greater than"),
        ({"DryRun": True}, "DryRunOperationException", "would have succeeded"),
    ]:
        request = {"ConsumerARN": consumer, "ShardId": FIRST_SHARD, "StartingPosition": latest, **request}
        error = error_of(kinesis.subscribe_to_shard, **request)
        assert error["Code"] == code and message in error["Message"], error
