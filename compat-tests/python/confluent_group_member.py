"""A member of a consumer group (librdkafka), as compat-tests/README.md describes it, until its stdin ends."""

import sys
import threading

from confluent_kafka import Consumer, KafkaException


def main(bootstrap, group, topic, *pairs):
    configs = {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "enable.auto.commit": "false",
        "auto.offset.reset": "earliest",
    }
    configs.update(pair.split("=", 1) for pair in pairs)
    consumer = Consumer(configs)
    stopping = threading.Event()

    def wait():
        sys.stdin.read()
        stopping.set()

    threading.Thread(target=wait, daemon=True).start()

    incremental = configs.get("group.protocol") == "consumer" or "cooperative" in configs.get(
        "partition.assignment.strategy", ""
    )

    def show():
        held = sorted(f"{p.topic}-{p.partition}" for p in consumer.assignment())
        print("assigned\t" + ",".join(held), flush=True)

    def assigned(consumer, partitions):
        consumer.incremental_assign(partitions) if incremental else consumer.assign(partitions)
        show()

    def revoked(consumer, partitions):
        consumer.incremental_unassign(partitions) if incremental else consumer.unassign()
        # A consumer that is being closed no longer tells what it is assigned.
        if not stopping.is_set():
            show()

    def lost(consumer, partitions):
        print("lost", flush=True)

    consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=lost)
    while not stopping.is_set():
        messages = consumer.consume(100, timeout=0.1)
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            value = message.value().decode()
            where = f"{message.topic()}\t{message.partition()}\t{message.offset()}"
            print(f"record\t{where}\t{value}", flush=True)
        if messages:
            consumer.commit(asynchronous=False)
            print("committed", flush=True)
    consumer.close()
    print("closed", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
