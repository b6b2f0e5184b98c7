"""Compares what the broker holds with what it acknowledged."""

from confluent_kafka import Consumer, TopicPartition

from crash.load import key_of

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


def partitions_of(bootstrap, topic):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused"})
    try:
        return sorted(consumer.list_topics(topic, timeout=READ_SECONDS).topics[topic].partitions)
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
    """Through the Kafka door: each acknowledged number is there once, in whichever partition; a partition's numbers
    of one key rise. Reads on from where it stopped, so that a thousand checks do not read the first record a thousand
    times; a new one reads all."""

    def __init__(self, stream):
        self.stream = stream
        self._next = {}  # by partition: offset
        self._last = {}  # by partition and key: number
        self._seen = set()

    def check(self, bootstrap, acknowledged):
        for partition in partitions_of(bootstrap, self.stream):
            start, end = self._next.get(partition, 0), log_end(bootstrap, self.stream, partition)
            assert end >= start, f"{self.stream}-{partition}: ends at {end}, and {start} was its end before"
            numbers = [int(value) for value in read(bootstrap, self.stream, partition, start, end)]
            for number in numbers:
                place = (partition, key_of(number))
                last = self._last.get(place, -1)
                assert number > last, f"{self.stream}: {place}: moved or doubled after offset {start}: {number}, {last}"
                self._last[place] = number
            assert self._seen.isdisjoint(numbers), f"{self.stream}-{partition}: a number in two partitions"
            self._seen.update(numbers)
            self._next[partition] = end
        lost = sorted(set(acknowledged) - self._seen)
        assert not lost, f"{self.stream}: {len(lost)} acknowledged records are lost, the first is {lost[0]}"
