"""Compares what the broker holds with what it acknowledged."""

from confluent_kafka import Consumer, TopicPartition

READ_SECONDS = 30


def read(bootstrap, topic, partition, start, end):
    """Values of the offsets from `start` up to `end`, `end` not included."""
    if end <= start:
        return []
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "unused",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "fetch.wait.max.ms": 20,
        }
    )
    consumer.assign([TopicPartition(topic, partition, start)])
    values, expected = [], start
    try:
        while expected < end:
            messages = consumer.consume(min(10_000, end - expected), READ_SECONDS)
            assert messages, f"{topic}-{partition}: nothing at offset {expected}, {end} was promised"
            for message in messages:
                assert not message.error(), f"{topic}-{partition} at {expected}: {message.error()}"
                assert message.offset() == expected, f"{topic}-{partition}: {message.offset()} follows {expected - 1}"
                values.append(message.value())
                expected += 1
    finally:
        consumer.close()
    return values


def log_end(bootstrap, topic, partition):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused"})
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=READ_SECONDS)[1]
    finally:
        consumer.close()


def check_numbered(bootstrap, topic, promised, verified):
    """Every offset up to the promised one holds the record of that number. Checks what follows
    `verified`, and moves it on."""
    for partition, last in promised.items():
        start = verified.get(partition, 0)
        values = read(bootstrap, topic, partition, start, last + 1)
        for offset, value in enumerate(values, start):
            number = int(value.split(b" ", 1)[0])
            assert number == offset, f"{topic}-{partition}: offset {offset} holds record {number}"
        verified[partition] = max(start, last + 1)


def check_stream(bootstrap, stream, partitions, acknowledged):
    """Each acknowledged number is there once; every partition's numbers rise."""
    seen = set()
    for partition in partitions:
        values = read(bootstrap, stream, partition, 0, log_end(bootstrap, stream, partition))
        numbers = [int(value) for value in values]
        assert numbers == sorted(set(numbers)), f"{stream}-{partition}: moved or doubled"
        assert seen.isdisjoint(numbers), f"{stream}-{partition}: a number in two shards"
        seen.update(numbers)
    lost = sorted(set(acknowledged) - seen)
    assert not lost, f"{stream}: {len(lost)} acknowledged records are lost, the first is {lost[0]}"


def check_get_records(client, stream, acknowledged):
    """The same through the other door: every acknowledged record under its sequence number."""
    found = {}
    for shard in client.list_shards(StreamName=stream)["Shards"]:
        name = shard["ShardId"]
        iterator = client.get_shard_iterator(
            StreamName=stream, ShardId=name, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            answer = client.get_records(ShardIterator=iterator, Limit=10_000)
            for record in answer["Records"]:
                number = int(record["Data"])
                assert number not in found, f"{stream}: record {number} twice"
                found[number] = (name, record["SequenceNumber"])
            iterator = answer["NextShardIterator"]
            if not answer["Records"] and answer["MillisBehindLatest"] == 0:
                break
    for number, told in acknowledged.items():
        assert found.get(number) == told, f"{stream}: record {number} was acknowledged as {told}"
