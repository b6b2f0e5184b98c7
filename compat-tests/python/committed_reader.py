"""A read_committed consumer (librdkafka) that follows partitions and notes what it is given, as
compat-tests/transactions/history.py describes it, until its stdin ends. It begins at the start of every partition, or
with a seed other than 0 somewhere before its end."""

import json
import random
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from transactional_writer import split, until_stdin_ends

CALL_SECONDS = 30
# A reader that begins late reads so much again, at most.
AGAIN_MAX = 2_000
# The client connects again by itself.
OUTAGES = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT}


def starts(consumer, partitions, seed):
    chance = random.Random(seed)
    for topic, index in partitions:
        start = 0
        if seed:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, index), CALL_SECONDS)
            start = max(0, end - chance.randrange(AGAIN_MAX))
        yield topic, index, start


def main(bootstrap, path, partitions, seed):
    stopping = until_stdin_ends()
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "unused",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "check.crcs": True,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200,
            "fetch.wait.max.ms": 100,
            "log_level": 0,
        }
    )
    with open(path, "a", encoding="utf-8", buffering=1) as file:

        def note(**event):
            file.write(json.dumps(event, separators=(",", ":")) + "\n")

        while True:
            try:
                assigned = list(starts(consumer, partitions, seed))
                break
            except KafkaException:  # the broker is down
                if stopping.is_set():
                    return
        note(assign={f"{topic}-{index}": start for topic, index, start in assigned})
        consumer.assign([TopicPartition(*place) for place in assigned])
        while not stopping.is_set():
            given = {}
            for message in consumer.consume(1000, 0.1):
                if error := message.error():
                    if error.code() in OUTAGES:
                        continue
                    raise KafkaException(error)
                partition = f"{message.topic()}-{message.partition()}"
                given.setdefault(partition, []).append([message.offset(), message.value().decode()])
            for partition, records in given.items():
                note(read=partition, records=records)
    consumer.close()


if __name__ == "__main__":
    bootstrap, path, partitions, seed = sys.argv[1:]
    main(bootstrap, path, [split(partition) for partition in partitions.split(",")], int(seed))
