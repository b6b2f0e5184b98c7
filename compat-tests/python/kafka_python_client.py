"""kafka-python, newest and 2.0.2, behind the commands of compat-tests/README.md."""

import sys
from pathlib import Path

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from harness.records import Record, parse_record, print_record

TIMEOUT = 30
IS_OLD = kafka.__version__.startswith("2.0.")


def create(bootstrap, topic, partitions, *configs):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    config = dict(pair.split("=", 1) for pair in configs)
    new_topic = NewTopic(topic, int(partitions), 1, topic_configs=config)
    admin.create_topics([new_topic], timeout_ms=TIMEOUT * 1000)
    admin.close()


def delete(bootstrap, topic):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.delete_topics([topic], timeout_ms=TIMEOUT * 1000)
    admin.close()


def produce(bootstrap, topic, codec, idempotent):
    options = {} if IS_OLD else {"enable_idempotence": idempotent == "true"}
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if codec == "none" else codec,
        acks="all",
        linger_ms=20,
        **options,
    )
    futures = []
    for line in sys.stdin:
        record = parse_record(line)
        futures.append(
            producer.send(
                topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                timestamp_ms=record.timestamp,
                headers=record.headers,
            )
        )
    producer.flush(TIMEOUT)
    for future in futures:
        delivered = future.get(TIMEOUT)
        print(f"{delivered.partition}\t{delivered.offset}")
    producer.close()


def consumer(bootstrap, partition):
    reader = KafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="none",
        check_crcs=True,
    )
    reader.assign([partition])
    return reader


def consume(bootstrap, topic, partition, offset, count):
    source = TopicPartition(topic, int(partition))
    reader = consumer(bootstrap, source)
    reader.seek(source, int(offset))
    left = int(count)
    while left:
        batches = reader.poll(timeout_ms=TIMEOUT * 1000, max_records=left)
        if not batches:
            sys.exit("not consumed: timed out")
        for message in batches[source]:
            headers = list(message.headers)
            record = Record(message.partition, message.timestamp, message.key, message.value, headers)
            print_record(record, message.offset)
            left -= 1
    reader.close()


def offset(bootstrap, topic, partition, timestamp):
    source = TopicPartition(topic, int(partition))
    reader = consumer(bootstrap, source)
    found = reader.offsets_for_times({source: int(timestamp)})[source]
    print(-1 if found is None else found.offset)
    reader.close()


COMMANDS = {"create": create, "delete": delete, "produce": produce, "consume": consume, "offset": offset}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
