"""The confluent-kafka client (librdkafka) behind the commands of compat-tests/README.md."""

import sys
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from harness.records import Record, parse_record, print_record

TIMEOUT = 30


def create(bootstrap, topic, partitions, *configs):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    config = dict(pair.split("=", 1) for pair in configs)
    for future in admin.create_topics(
        [NewTopic(topic, int(partitions), 1, config=config)], operation_timeout=TIMEOUT
    ).values():
        future.result(TIMEOUT)


def delete(bootstrap, topic):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.delete_topics([topic], operation_timeout=TIMEOUT).values():
        future.result(TIMEOUT)


def produce(bootstrap, topic, codec, idempotent):
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": codec,
            "enable.idempotence": idempotent == "true",
            "acks": "all",
            "linger.ms": 20,
            "message.timeout.ms": TIMEOUT * 1000,
        }
    )
    failures = []

    def delivered(error, message):
        if error is not None:
            failures.append(error)
        else:
            print(f"{message.partition()}\t{message.offset()}")

    for line in sys.stdin:
        record = parse_record(line)
        producer.produce(
            topic,
            value=record.value,
            key=record.key,
            partition=record.partition,
            timestamp=record.timestamp,
            headers=record.headers,
            on_delivery=delivered,
        )
        producer.poll(0)
    if producer.flush(TIMEOUT) or failures:
        sys.exit(f"not delivered: {failures}")


def consumer(bootstrap):
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "unused",  # the client insists; nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
        }
    )


def consume(bootstrap, topic, partition, offset, count):
    reader = consumer(bootstrap)
    reader.assign([TopicPartition(topic, int(partition), int(offset))])
    for _ in range(int(count)):
        message = reader.poll(TIMEOUT)
        if message is None or message.error():
            sys.exit(f"not consumed: {message and message.error()}")
        print_record(
            Record(
                message.partition(),
                message.timestamp()[1],
                message.key(),
                message.value(),
                message.headers() or [],
            ),
            message.offset(),
        )
    reader.close()


def offset(bootstrap, topic, partition, timestamp):
    reader = consumer(bootstrap)
    [found] = reader.offsets_for_times(
        [TopicPartition(topic, int(partition), int(timestamp))], timeout=TIMEOUT
    )
    print(found.offset)
    reader.close()


COMMANDS = {"create": create, "delete": delete, "produce": produce, "consume": consume, "offset": offset}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
