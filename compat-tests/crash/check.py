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


class StreamCheck:
    """Each acknowledged number is there once; every partition's numbers rise. Reads on from where it stopped, so
    that a thousand checks do not read the first record a thousand times; a new one reads all."""

    def __init__(self, stream, partitions):
        self.stream = stream
        self._next = dict.fromkeys(partitions, 0)  # offset
        self._last = dict.fromkeys(partitions, -1)  # number
        self._seen = set()

    def check(self, bootstrap, acknowledged):
        for partition, start in self._next.items():
            end = log_end(bootstrap, self.stream, partition)
            assert end >= start, f"{self.stream}-{partition}: ends at {end}, and {start} was its end before"
            numbers = [int(value) for value in read(bootstrap, self.stream, partition, start, end)]
            rising = [self._last[partition], *numbers]
            assert rising == sorted(set(rising)), f"{self.stream}-{partition}: moved or doubled after offset {start}"
            assert self._seen.isdisjoint(numbers), f"{self.stream}-{partition}: a number in two shards"
            self._seen.update(numbers)
            self._next[partition], self._last[partition] = end, rising[-1]
        lost = sorted(set(acknowledged) - self._seen)
        assert not lost, f"{self.stream}: {len(lost)} acknowledged records are lost, the first is {lost[0]}"


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
