"""Kinesis clients (boto3, awscli) as they are, alone and beside Kafka clients on the same records."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from harness.clients import CODECS

FIRST_SHARD = "shardId-000000000000"
CREDENTIALS = {"aws_access_key_id": "any", "aws_secret_access_key": "thing"}


def client(endpoint, **config):
    config = Config(retries={"total_max_attempts": 1}, **config)
    return boto3.client(
        "kinesis", endpoint_url=endpoint, region_name="us-east-1", config=config, **CREDENTIALS
    )


@pytest.fixture
def kinesis(broker):
    return client(broker.aws_endpoint)


@pytest.fixture
def stream(kinesis, topic):
    """A stream of one shard."""
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    return topic


def iterator(kinesis, stream, shard=FIRST_SHARD, kind="TRIM_HORIZON", **where):
    answer = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=shard, ShardIteratorType=kind, **where
    )
    return answer["ShardIterator"]


def read_all(kinesis, start, limit=10_000):
    """All records from an iterator to the shard's present end, and the last answer."""
    records = []
    while True:
        answer = kinesis.get_records(ShardIterator=start, Limit=limit)
        assert len(answer["Records"]) <= limit
        records += answer["Records"]
        start = answer.get("NextShardIterator")
        if start is None or (not answer["Records"] and answer["MillisBehindLatest"] == 0):
            return records, answer


def data_of(records):
    return [record["Data"] for record in records]


def millis(record):
    return round(record["ApproximateArrivalTimestamp"].timestamp() * 1000)


def error_of(call, **arguments):
    with pytest.raises(Exception) as caught:
        call(**arguments)
    return caught.value.response["Error"]


# Streams


def test_a_stream_is_made_described_listed_and_deleted(kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=3)

    told = kinesis.describe_stream_summary(StreamName=topic)["StreamDescriptionSummary"]
    assert told["StreamARN"] == f"arn:aws:kinesis:us-east-1:000000000000:stream/{topic}"
    assert (told["StreamStatus"], told["OpenShardCount"]) == ("ACTIVE", 3)
    assert told["RetentionPeriodHours"] == 24
    assert told["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    age = datetime.now(timezone.utc) - told["StreamCreationTimestamp"]
    assert timedelta(0) <= age < timedelta(minutes=1)

    pages = kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 1})
    assert topic in [name for page in pages for name in page["StreamNames"]]

    error = error_of(kinesis.create_stream, StreamName=topic, ShardCount=1)
    assert error["Code"] == "ResourceInUseException"
    assert error["Message"] == f"Stream {topic} under account 000000000000 already exists."

    kinesis.delete_stream(StreamARN=told["StreamARN"])
    error = error_of(kinesis.describe_stream_summary, StreamName=topic)
    assert error["Code"] == "ResourceNotFoundException"
    assert error["Message"] == f"Stream {topic} under account 000000000000 not found."


def test_an_on_demand_stream_begins_with_four_shards(kinesis, topic):
    kinesis.create_stream(StreamName=topic, StreamModeDetails={"StreamMode": "ON_DEMAND"})

    told = kinesis.describe_stream_summary(StreamName=topic)["StreamDescriptionSummary"]

    assert told["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert told["OpenShardCount"] == 4


def test_shards_divide_the_hash_keys_evenly(kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=7)

    # Not by boto3's paginator: it sends StreamName beside NextToken, which AWS refuses too.
    page = kinesis.list_shards(StreamName=topic, MaxResults=2)
    shards = page["Shards"]
    while token := page.get("NextToken"):
        page = kinesis.list_shards(NextToken=token, MaxResults=2)
        shards += page["Shards"]

    assert [shard["ShardId"] for shard in shards] == [f"shardId-{n:012d}" for n in range(7)]
    width = 2**128 // 7
    for n, shard in enumerate(shards):
        start, end = (int(shard["HashKeyRange"][f"{which}HashKey"]) for which in ("Starting", "Ending"))
        assert start == width * n
        assert end == (width * (n + 1) - 1 if n < 6 else 2**128 - 1)


# Records


def test_records_come_back_in_order_with_key_place_and_time(kinesis, stream):
    before = time.time_ns() // 1_000_000
    sent = [{"Data": b"%d" % n, "PartitionKey": f"key-{n}"} for n in range(500)]

    put = kinesis.put_records(StreamName=stream, Records=sent)

    assert put["FailedRecordCount"] == 0
    records, last = read_all(kinesis, iterator(kinesis, stream), limit=123)
    assert last["MillisBehindLatest"] == 0
    assert [{k: r[k] for k in ("Data", "PartitionKey")} for r in records] == sent
    numbers = [record["SequenceNumber"] for record in put["Records"]]
    assert [record["SequenceNumber"] for record in records] == numbers
    assert numbers == sorted(numbers, key=int) and len(set(numbers)) == 500
    assert all(before <= millis(r) <= time.time_ns() // 1_000_000 for r in records)


def test_the_md5_of_the_partition_key_chooses_the_shard(kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=4)
    keys = [f"user-{n}" for n in range(100)]

    put = kinesis.put_records(
        StreamName=topic, Records=[{"Data": key.encode(), "PartitionKey": key} for key in keys]
    )

    for key, result in zip(keys, put["Records"]):
        hashed = int.from_bytes(hashlib.md5(key.encode()).digest(), "big")
        assert result["ShardId"] == f"shardId-{hashed * 4 >> 128:012d}"
    for n in range(4):
        shard = f"shardId-{n:012d}"
        expected = [k.encode() for k, r in zip(keys, put["Records"]) if r["ShardId"] == shard]
        assert data_of(read_all(kinesis, iterator(kinesis, topic, shard))[0]) == expected

    forced = kinesis.put_record(
        StreamName=topic, Data=b"", PartitionKey="user-1", ExplicitHashKey=str(2**128 - 1)
    )
    assert forced["ShardId"] == "shardId-000000000003"


def test_every_iterator_type_begins_where_it_says(kinesis, stream):
    numbers, times = [], []
    for n in range(5):
        put = kinesis.put_record(StreamName=stream, Data=b"%d" % n, PartitionKey="k")
        numbers.append(put["SequenceNumber"])
        times.append(datetime.now(timezone.utc))
        time.sleep(0.02)

    def begins(kind, **where):
        return data_of(read_all(kinesis, iterator(kinesis, stream, kind=kind, **where))[0])

    assert begins("TRIM_HORIZON") == [b"0", b"1", b"2", b"3", b"4"]
    assert begins("AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[3]) == [b"3", b"4"]
    assert begins("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[3]) == [b"4"]
    assert begins("AT_TIMESTAMP", Timestamp=times[1] + timedelta(milliseconds=5)) == [b"2", b"3", b"4"]
    latest = iterator(kinesis, stream, kind="LATEST")
    kinesis.put_record(StreamName=stream, Data=b"5", PartitionKey="k")
    assert data_of(read_all(kinesis, latest)[0]) == [b"5"]


def test_the_largest_record_and_request_go_through_and_come_back(kinesis, stream):
    largest = os.urandom((1 << 20) - 3)
    kinesis.put_record(StreamName=stream, Data=largest, PartitionKey="key")
    tenth = [os.urandom((1 << 20) - 3) for _ in range(10)]
    put = kinesis.put_records(
        StreamName=stream, Records=[{"Data": data, "PartitionKey": "key"} for data in tenth]
    )
    assert put["FailedRecordCount"] == 0

    records, _ = read_all(kinesis, iterator(kinesis, stream))
    assert data_of(records) == [largest, *tenth]

    over = error_of(kinesis.put_record, StreamName=stream, Data=largest + b"x", PartitionKey="key")
    assert over["Code"] == "ValidationException"


@pytest.mark.parametrize(
    "operation, arguments, code, message",
    [
        ("put_record", {"StreamName": "none", "Data": b"", "PartitionKey": "k"},
         "ResourceNotFoundException", "Stream none under account 000000000000 not found."),
        ("put_record", {"StreamName": "STREAM", "Data": b"", "PartitionKey": "k", "ExplicitHashKey": str(2**128)},
         "InvalidArgumentException", f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {2**128}"),
        ("get_shard_iterator", {"StreamName": "STREAM", "ShardId": "shardId-000000000009", "ShardIteratorType": "LATEST"},
         "ResourceNotFoundException", "Could not find shard shardId-000000000009 in stream STREAM under account 000000000000."),
        ("get_shard_iterator", {"StreamName": "STREAM", "ShardId": FIRST_SHARD, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "7"},
         "InvalidArgumentException", "StartingSequenceNumber 7 used in GetShardIterator on shard shardId-000000000000 in stream STREAM under account 000000000000 is invalid."),
        ("get_records", {"ShardIterator": "AAAAAAAAAAE="}, "InvalidArgumentException", "Invalid ShardIterator."),
        ("start_stream_encryption", {"StreamName": "STREAM", "EncryptionType": "KMS", "KeyId": "alias/k"},
         "NotImplementedException", "StartStreamEncryption is not served by thalweg yet."),
    ],
)
def test_what_is_refused_is_refused_in_awss_words(kinesis, stream, operation, arguments, code, message):
    arguments = {k: stream if v == "STREAM" else v for k, v in arguments.items()}

    error = error_of(getattr(kinesis, operation), **arguments)

    assert (error["Code"], error["Message"]) == (code, message.replace("STREAM", stream))


# The same records through the other door


def produce(broker, topic, records, **config):
    """Sends (key, value, timestamp) in one batch to partition 0."""
    producer = Producer({"bootstrap.servers": broker.kafka, "linger.ms": 200, **config})
    for key, value, timestamp in records:
        producer.produce(topic, value, key, partition=0, timestamp=timestamp)
    assert producer.flush(30) == 0


def consume(broker, topic, count):
    consumer = Consumer({"bootstrap.servers": broker.kafka, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = consumer.consume(count, timeout=30)
    consumer.close()
    assert all(message.error() is None for message in messages)
    return messages


@pytest.mark.parametrize("codec", CODECS)
def test_what_kafka_produces_kinesis_reads_also_out_of_compressed_batches(broker, kinesis, stream, codec):
    now = time.time_ns() // 1_000_000
    sent = [(f"key-{n}".encode(), b"value %d" % n * 20, now + n) for n in range(200)]

    produce(broker, stream, sent, **{"compression.type": codec})

    records, _ = read_all(kinesis, iterator(kinesis, stream), limit=37)
    assert [(r["PartitionKey"].encode(), r["Data"], millis(r)) for r in records] == sent
    # An iterator in the middle of a batch begins at the record.
    middle = iterator(
        kinesis, stream, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=records[150]["SequenceNumber"]
    )
    assert data_of(read_all(kinesis, middle)[0]) == [value for _, value, _ in sent[150:]]


def test_kafka_keys_that_are_no_partition_keys_have_a_stand_in(broker, kinesis, stream):
    now = time.time_ns() // 1_000_000
    long = b"x" * 300
    sent = [(None, b"a", now), (b"\x00\xff", b"b", now), (long, b"c", now), ("ü".encode(), None, now)]

    produce(broker, stream, sent)

    records, _ = read_all(kinesis, iterator(kinesis, stream))
    hashed = base64.urlsafe_b64encode(hashlib.sha256(long).digest()).rstrip(b"=").decode()
    assert [(r["PartitionKey"], r["Data"]) for r in records] == [
        ("kafka:null", b"a"),
        ("kafka:base64:AP8", b"b"),
        (f"kafka:sha256:{hashed}", b"c"),
        ("ü", b""),
    ]


def test_what_kinesis_puts_kafka_consumes(broker, kinesis, stream):
    kinesis.put_records(
        StreamName=stream, Records=[{"Data": b"%d" % n, "PartitionKey": f"ü{n}"} for n in range(100)]
    )

    messages = consume(broker, stream, 100)

    assert [(m.key().decode(), m.value()) for m in messages] == [(f"ü{n}", b"%d" % n) for n in range(100)]
    records, _ = read_all(kinesis, iterator(kinesis, stream))
    assert [m.timestamp()[1] for m in messages] == [millis(r) for r in records]


def test_a_kafka_topic_is_a_stream_and_more_partitions_split_its_shards(broker, kinesis, topic):
    admin = AdminClient({"bootstrap.servers": broker.kafka})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    kinesis.put_record(StreamName=topic, Data=b"before", PartitionKey="k")

    admin.create_partitions([NewPartitions(topic, 2)])[topic].result(30)

    shards = {s["ShardId"]: s for s in kinesis.list_shards(StreamName=topic)["Shards"]}
    parent = shards.pop(FIRST_SHARD)
    assert "EndingSequenceNumber" in parent["SequenceNumberRange"]
    assert {s["ParentShardId"] for s in shards.values()} == {FIRST_SHARD}
    open_now = kinesis.list_shards(StreamName=topic, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    assert {s["ShardId"] for s in open_now} == set(shards)
    at_start = kinesis.list_shards(StreamName=topic, ShardFilter={"Type": "AT_TRIM_HORIZON"})["Shards"]
    assert [s["ShardId"] for s in at_start] == [FIRST_SHARD]

    put = kinesis.put_records(
        StreamName=topic, Records=[{"Data": b"%d" % n, "PartitionKey": str(n)} for n in range(50)]
    )
    assert {r["ShardId"] for r in put["Records"]} == set(shards)
    records, end = read_all(kinesis, iterator(kinesis, topic))
    assert data_of(records) == [b"before"]
    assert {child["ShardId"] for child in end["ChildShards"]} == set(shards)
    for shard in shards:
        expected = [b"%d" % n for n, r in enumerate(put["Records"]) if r["ShardId"] == shard]
        after, _ = read_all(kinesis, iterator(kinesis, topic, shard))
        assert data_of(after) == expected
        assert all(int(r["SequenceNumber"]) > int(records[0]["SequenceNumber"]) for r in after)


# The wire


def post(broker, target, body, content_type="application/x-amz-json-1.1"):
    request = urllib.request.Request(
        f"{broker.aws_endpoint}/any/path", body, {"Content-Type": content_type, "X-Amz-Target": target}
    )
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    assert answer.headers["x-amzn-RequestId"]
    return answer.status, json.loads(answer.read() or b"null")


def test_what_is_no_request_of_ours_is_answered_and_bounded(broker):
    target = "Kinesis_20131202.ListStreams"
    assert post(broker, target, b"{}")[0] == 200
    assert post(broker, "Kinesis_20131202.Fly", b"{}") == (400, {"__type": "UnknownOperationException"})
    assert post(broker, "Other_1.ListStreams", b"{}") == (400, {"__type": "UnknownOperationException"})
    assert post(broker, target, b"\xbf\xff", "application/cbor")[0] == 415
    for body in (b"", b"{", b"[]", b'{"Limit":"x"}', b"\xff"):
        status, error = post(broker, target, body)
        assert (status, error["__type"]) == (400, "SerializationException"), body
    assert post(broker, target, b" " * (3 << 20))[0] == 413
    nothing = b'{"StreamName":"s","Records":[%s{}]}' % (b"{}," * 4_000_000)
    status, error = post(broker, "Kinesis_20131202.PutRecords", nothing)
    assert (status, error["__type"]) == (400, "ValidationException")


def test_awscli_puts_and_gets(broker, stream):
    command = [str(Path(sys.executable).with_name("aws")), "--endpoint-url", broker.aws_endpoint]
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "thing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def aws(*arguments):
        done = subprocess.run(
            [sys.executable, *command, "kinesis", *arguments],
            env=environment, capture_output=True, text=True, timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    # Version 1 of awscli takes data as it is and shows it in base64.
    put = aws("put-record", "--stream-name", stream, "--partition-key", "k", "--data", "hello")
    start = aws(
        "get-shard-iterator", "--stream-name", stream, "--shard-id", put["ShardId"],
        "--shard-iterator-type", "TRIM_HORIZON",
    )["ShardIterator"]
    record, = aws("get-records", "--shard-iterator", start)["Records"]
    assert (record["Data"], record["PartitionKey"]) == (base64.b64encode(b"hello").decode(), "k")
    assert record["SequenceNumber"] == put["SequenceNumber"]
    assert stream in aws("list-streams")["StreamNames"]


# What lasts


def test_acknowledged_puts_and_iterators_survive_kill_9(own_broker, topic):
    broker = own_broker().start()
    kinesis = client(broker.aws_endpoint)
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    start = iterator(kinesis, topic)
    numbers = []
    for n in range(50):
        records = [{"Data": b"%d.%d" % (n, m), "PartitionKey": "k"} for m in range(10)]
        put = kinesis.put_records(StreamName=topic, Records=records)
        numbers += [record["SequenceNumber"] for record in put["Records"]]

    broker.kill()
    broker.start()

    records, _ = read_all(client(broker.aws_endpoint), start)
    assert data_of(records) == [b"%d.%d" % (n, m) for n in range(50) for m in range(10)]
    assert [record["SequenceNumber"] for record in records] == numbers
