"""A member of a consumer group (kafka-python), as compat-tests/README.md describes it, until its stdin ends."""

import sys
import threading

from kafka import ConsumerRebalanceListener, KafkaConsumer

# Its settings are numbers under names with underscores.
NUMBERS = {"session_timeout_ms", "heartbeat_interval_ms", "max_poll_interval_ms"}


class Listener(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        pass

    def on_partitions_assigned(self, assigned):
        held = sorted(f"{p.topic}-{p.partition}" for p in assigned)
        print("assigned\t" + ",".join(held), flush=True)


def main(bootstrap, group, topic, *pairs):
    configs = {}
    for pair in pairs:
        name, value = pair.split("=", 1)
        name = name.replace(".", "_")
        configs[name] = int(value) if name in NUMBERS else value
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **configs,
    )
    stopping = threading.Event()

    def wait():
        sys.stdin.read()
        stopping.set()

    threading.Thread(target=wait, daemon=True).start()
    consumer.subscribe([topic], listener=Listener())
    while not stopping.is_set():
        # kafka-python 3.0 loses a join that is answered between two polls: it goes on as if it had none
        # and is never heard of again. So it polls long, and seldom with a join under way.
        polled = consumer.poll(timeout_ms=2_000, max_records=100)
        for partition, records in polled.items():
            for record in records:
                where = f"{partition.topic}\t{partition.partition}\t{record.offset}"
                print(f"record\t{where}\t{record.value.decode()}", flush=True)
        if polled:
            consumer.commit()
            print("committed", flush=True)
    consumer.close()
    print("closed", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
