"""Shards are split and merged, by boto3, while Kinesis and Kafka clients write and read."""

import hashlib
import threading
from collections import defaultdict

import pytest
from confluent_kafka import Producer

from test_kinesis_slice import client, error_of, iterator

ACCOUNT = "000000000000"
MIDDLE = str(2**127)


@pytest.fixture
def kinesis(broker):
    return client(broker.aws_endpoint)


def shards_of(kinesis, stream, **filter):
    return kinesis.list_shards(StreamName=stream, **filter)["Shards"]


def open_shards(kinesis, stream):
    return shards_of(kinesis, stream, ShardFilter={"Type": "AT_LATEST"})


def shard_id(number):
    return f"shardId-{number:012d}"


def keys_of(shard):
    return tuple(int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))


def read_tree(kinesis, stream):
    """All records of a stream as a KCL reads them: a shard once all its parents are at their end. By shard."""
    waiting = {shard["ShardId"]: shard for shard in shards_of(kinesis, stream)}
    read = {}
    while waiting:
        ready = [
            name
            for name, shard in waiting.items()
            if not {shard.get("ParentShardId"), shard.get("AdjacentParentShardId")} & waiting.keys()
        ]
        assert ready, "the lineage has a circle"
        for name in ready:
            records, position = [], iterator(kinesis, stream, name)
            while position:
                answer = kinesis.get_records(ShardIterator=position)
                records += answer["Records"]
                position = answer.get("NextShardIterator")
                if position and not answer["Records"] and answer["MillisBehindLatest"] == 0:
                    break
            read[name] = records
            is_open = "EndingSequenceNumber" not in waiting.pop(name)["SequenceNumberRange"]
            assert bool(position) == is_open, "a closed shard comes to its end, an open one does not"
    return read


def test_a_split_shard_closes_and_its_children_have_its_keys(kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    before = kinesis.put_record(StreamName=topic, Data=b"before", PartitionKey="k")

    kinesis.split_shard(StreamName=topic, ShardToSplit=shard_id(0), NewStartingHashKey=MIDDLE)

    parent, lower, upper = shards_of(kinesis, topic)
    assert keys_of(lower) == (0, 2**127 - 1) and keys_of(upper) == (2**127, 2**128 - 1)
    assert lower["ParentShardId"] == upper["ParentShardId"] == shard_id(0)
    end = int(parent["SequenceNumberRange"]["EndingSequenceNumber"])
    assert int(before["SequenceNumber"]) < end
    for key, child in [("0", lower), (str(2**128 - 1), upper)]:
        put = kinesis.put_record(StreamName=topic, Data=b"after", PartitionKey="k", ExplicitHashKey=key)
        assert put["ShardId"] == child["ShardId"] and int(put["SequenceNumber"]) > end
    read = read_tree(kinesis, topic)
    assert [[r["Data"] for r in read[shard_id(n)]] for n in range(3)] == [[b"before"], [b"after"], [b"after"]]
    answer = kinesis.get_records(ShardIterator=iterator(kinesis, topic, shard_id(0)))
    assert [child["ShardId"] for child in answer["ChildShards"]] == [shard_id(1), shard_id(2)]


def test_merged_shards_have_one_child_and_the_partition_that_ends_is_sealed_for_kafka(kinesis, broker, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=2)
    for n, key in enumerate(["0", str(2**128 - 1)]):
        kinesis.put_record(StreamName=topic, Data=b"%d" % n, PartitionKey="k", ExplicitHashKey=key)

    kinesis.merge_shards(StreamName=topic, ShardToMerge=shard_id(0), AdjacentShardToMerge=shard_id(1))

    (child,) = open_shards(kinesis, topic)
    assert keys_of(child) == (0, 2**128 - 1)
    assert (child["ParentShardId"], child["AdjacentParentShardId"]) == (shard_id(0), shard_id(1))
    put = kinesis.put_record(StreamName=topic, Data=b"2", PartitionKey="k", ExplicitHashKey=str(2**128 - 1))
    assert put["ShardId"] == child["ShardId"]
    read = read_tree(kinesis, topic)
    assert [[r["Data"] for r in read[shard_id(n)]] for n in range(3)] == [[b"0"], [b"1"], [b"2"]]

    outcomes = {}
    producer = Producer({"bootstrap.servers": broker.kafka})
    for partition in (0, 1):
        producer.produce(topic, b"kafka", partition=partition, on_delivery=lambda e, m: outcomes.update({m.partition(): e}))
    producer.flush(30)
    assert outcomes[0] is None
    assert outcomes[1].name() == "POLICY_VIOLATION"


def test_a_merge_is_refused_while_kafka_writes_to_the_partition_that_it_would_seal(kinesis, broker, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=2)
    producer = Producer({"bootstrap.servers": broker.kafka})
    producer.produce(topic, b"kafka", partition=1)
    assert producer.flush(30) == 0

    merge = {"StreamName": topic, "ShardToMerge": shard_id(0), "AdjacentShardToMerge": shard_id(1)}
    error = error_of(kinesis.merge_shards, **merge)
    assert error["Code"] == "ResourceInUseException"
    assert "would seal partition 1" in error["Message"]
    assert len(open_shards(kinesis, topic)) == 2
    # Nothing has changed for anybody.
    producer.produce(topic, b"kafka", partition=1)
    assert producer.flush(30) == 0
    kinesis.put_record(StreamName=topic, Data=b"", PartitionKey="k", ExplicitHashKey=str(2**128 - 1))
    # The other way round it seals partition 0.
    kinesis.merge_shards(StreamName=topic, ShardToMerge=shard_id(1), AdjacentShardToMerge=shard_id(0))
    producer.produce(topic, b"kafka", partition=1)
    assert producer.flush(30) == 0


def test_the_shard_count_is_changed_to_equal_ranges(kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=2)
    for before, target in [(2, 3), (3, 6), (6, 3), (3, 2)]:
        answer = kinesis.update_shard_count(
            StreamName=topic, TargetShardCount=target, ScalingType="UNIFORM_SCALING"
        )
        assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (before, target)
        width = 2**128 // target
        ranges = [keys_of(shard) for shard in sorted(open_shards(kinesis, topic), key=keys_of)]
        assert [start for start, _ in ranges] == [width * n for n in range(target)]
    for target in (5, 1000):
        error = error_of(
            kinesis.update_shard_count, StreamName=topic, TargetShardCount=target, ScalingType="UNIFORM_SCALING"
        )
        assert error["Code"] == "InvalidArgumentException"


def test_bad_requests_are_refused_in_awss_words(kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=3)
    kinesis.split_shard(StreamName=topic, ShardToSplit=shard_id(0), NewStartingHashKey="1000")
    under = f"in stream {topic} under account {ACCOUNT}"
    error = error_of(kinesis.split_shard, StreamName=topic, ShardToSplit=shard_id(0), NewStartingHashKey="1000")
    assert (error["Code"], error["Message"]) == (
        "InvalidArgumentException",
        f"Shard {shard_id(0)} {under} has already been merged or split, and thus is not eligible for merging or splitting.",
    )
    error = error_of(kinesis.split_shard, StreamName=topic, ShardToSplit=shard_id(3), NewStartingHashKey="999")
    assert error["Message"] == (
        f"NewStartingHashKey 999 used in SplitShard() on shard {shard_id(3)} {under} is not both greater than one "
        "plus the shard's StartingHashKey 0 and less than the shard's EndingHashKey 999."
    )
    error = error_of(kinesis.split_shard, StreamName=topic, ShardToSplit=shard_id(9), NewStartingHashKey="999")
    assert (error["Code"], error["Message"]) == (
        "ResourceNotFoundException",
        f"Could not find shard {shard_id(9)} {under}.",
    )
    error = error_of(
        kinesis.merge_shards, StreamName=topic, ShardToMerge=shard_id(3), AdjacentShardToMerge=shard_id(2)
    )
    assert (error["Code"], error["Message"]) == (
        "InvalidArgumentException",
        f"Shards {shard_id(3)} and {shard_id(2)} {under} are not an adjacent pair of shards eligible for merging",
    )


def test_under_load_nothing_is_lost_and_every_key_keeps_its_order(kinesis, broker, topic):
    """Writers put numbered records of few keys, one after the other, while the stream is split and merged. Every
    record lies once in the shard that owned its hash key, and a key's records are in order from parents to
    children."""
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    stop = threading.Event()
    written, failures = defaultdict(int), []

    def write(keys):
        door = client(broker.aws_endpoint)
        while not stop.is_set():
            records = [{"Data": b"%s %d" % (k.encode(), written[k]), "PartitionKey": k} for k in keys]
            answer = door.put_records(StreamName=topic, Records=records)
            if answer["FailedRecordCount"]:
                failures.append(answer)
                return
            for key in keys:
                written[key] += 1

    writers = [threading.Thread(target=write, args=([f"key-{w}-{n}" for n in range(8)],)) for w in range(3)]
    for writer in writers:
        writer.start()
    try:
        for target in (2, 4, 3, 6, 3, 2, 1):
            kinesis.update_shard_count(StreamName=topic, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert not failures, failures[0]

    shards = {shard["ShardId"]: shard for shard in shards_of(kinesis, topic)}
    found = defaultdict(list)
    for name, records in read_tree(kinesis, topic).items():
        start, end = keys_of(shards[name])
        for record in records:
            key, number = record["Data"].decode().split()
            hashed = int.from_bytes(hashlib.md5(key.encode()).digest(), "big")
            assert start <= hashed <= end, f"{key} lies in {name}, which does not own it"
            found[key].append((int(record["SequenceNumber"]), int(number)))
    for key, count in written.items():
        assert [number for _, number in found[key]] == list(range(count)), key
        numbers = [sequence for sequence, _ in found[key]]
        assert numbers == sorted(numbers), key


def test_shards_and_seals_survive_kill_9(own_broker, topic):
    broker = own_broker().start()
    kinesis = client(broker.aws_endpoint)
    kinesis.create_stream(StreamName=topic, ShardCount=2)
    kinesis.put_record(StreamName=topic, Data=b"0", PartitionKey="k", ExplicitHashKey="0")
    kinesis.split_shard(StreamName=topic, ShardToSplit=shard_id(0), NewStartingHashKey="1000")
    kinesis.merge_shards(StreamName=topic, ShardToMerge=shard_id(3), AdjacentShardToMerge=shard_id(1))
    kinesis.put_record(StreamName=topic, Data=b"1", PartitionKey="k", ExplicitHashKey="0")
    before = shards_of(kinesis, topic)

    broker.kill()
    broker.start()

    assert shards_of(kinesis, topic) == before
    read = read_tree(kinesis, topic)
    assert [record["Data"] for record in read[shard_id(0)] + read[shard_id(2)]] == [b"0", b"1"]
    outcome = []
    producer = Producer({"bootstrap.servers": broker.kafka})
    producer.produce(topic, b"kafka", partition=1, on_delivery=lambda error, _: outcome.append(error))
    producer.flush(30)
    assert outcome[0].name() == "POLICY_VIOLATION"
