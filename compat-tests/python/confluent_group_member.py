"""A member of a consumer group (librdkafka), as compat-tests/README.md describes it, until its stdin ends."""

import os
import sys
import threading
import traceback

from confluent_kafka import Consumer, KafkaError, KafkaException

# A commit that comes when its generation is over. The member goes on: what it read counts with its next commit, or
# is read again by whoever has the partition then. librdkafka sends a commit behind a JoinGroup that waits for the
# others; a connection's requests are answered in turn, here as in Kafka, so it is judged after the rebalance.
TOO_LATE = (
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.STALE_MEMBER_EPOCH,
    KafkaError.UNKNOWN_MEMBER_ID,
)


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
        if messages and commit(consumer):
            print("committed", flush=True)
    consumer.close()
    print("closed", flush=True)


def commit(consumer):
    """Whether it was taken."""
    try:
        consumer.commit(asynchronous=False)
        return True
    except KafkaException as error:
        if error.args[0].code() not in TOO_LATE:
            raise
        print(f"a commit came too late: {error}", file=sys.stderr, flush=True)
        return False


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        # Not an ordinary exit: that destroys a consumer which was not closed, and where a rebalance waits for the
        # application then, librdkafka 2.16 turns in circles for ever ("waiting for assign call").
        os._exit(1)
