"""A transactional producer (librdkafka) that writes into several partitions at once, commits or aborts, and notes
what it does as compat-tests/transactions/history.py describes it. It begins anew when it is fenced, and ends after
the transaction in which its stdin ends."""

import json
import random
import sys
import threading
import time

from confluent_kafka import KafkaException, Producer

CALL_SECONDS = 10
PATIENCE_SECONDS = 60
WRITES_MAX = 5


class Writer:
    def __init__(self, bootstrap, transactional_id, name, path, partitions, seed):
        self.options = {
            "bootstrap.servers": bootstrap,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": 30_000,
            "message.timeout.ms": 25_000,
            "socket.timeout.ms": 10_000,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200,
            "linger.ms": 1,
            "log_level": 0,
        }
        self.name = name
        self.file = open(path, "a", encoding="utf-8", buffering=1)
        self.partitions = [split(partition) for partition in partitions.split(",")]
        self.chance = random.Random(seed)
        self.number = 0
        self.stopping = until_stdin_ends()

    def note(self, **event):
        self.file.write(json.dumps(event, separators=(",", ":")) + "\n")

    def run(self):
        while not self.stopping.is_set():
            producer = Producer(self.options)
            try:
                again_and_again(producer.init_transactions)
                while not self.stopping.is_set():
                    self.transact(producer)
            except KafkaException as error:
                # Another producer of this id took over, or the broker ended a transaction that took too long.
                if not error.args[0].fatal():
                    raise
                producer.purge()
                time.sleep(self.chance.uniform(0, 0.5))

    def transact(self, producer):
        self.number += 1
        number, count = self.number, self.chance.randrange(1, WRITES_MAX + 1)
        writes = [
            (*self.chance.choice(self.partitions), f"{self.name}/{number}/{place}") for place in range(count)
        ]
        self.note(begin=number, writes=[[f"{topic}-{index}", value, None] for topic, index, value in writes])
        producer.begin_transaction()
        offsets = {}
        commit = self.send(producer, writes, offsets) and self.chance.random() < 0.75
        self.note(end=number, commit=commit)
        outcome = end(producer, commit)
        self.note(ended=number, outcome=outcome, offsets=[offsets.get(value) for _, _, value in writes])

    def send(self, producer, writes, offsets):
        """Whether everything was taken."""

        def delivered(error, message):
            if error is None and message.offset() >= 0:
                offsets[message.value().decode()] = message.offset()

        try:
            for topic, index, value in writes:
                producer.produce(topic, value.encode(), partition=index, on_delivery=delivered)
                if self.chance.random() < 0.2:
                    # So that one transaction's batches are not all in one request.
                    producer.flush(self.chance.uniform(0, 0.05))
        except KafkaException as error:
            if error.args[0].fatal():
                raise
            return False
        return True


def until_stdin_ends():
    """An event that says so."""
    stopping = threading.Event()

    def wait():
        sys.stdin.read()
        stopping.set()

    threading.Thread(target=wait, daemon=True).start()
    return stopping


def split(partition):
    """Topic and number of a partition."""
    topic, index = partition.rsplit("-", 1)
    return topic, int(index)


def again_and_again(call):
    """Calls until it is done, as long as the client says that this may help."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return call(CALL_SECONDS)
        except KafkaException as error:
            if not error.args[0].retriable():
                raise
            assert time.monotonic() < deadline, f"{call} is still not done: {error}"


def end(producer, commit):
    """Ends a transaction, if it can be as asked. Says how it ended."""
    if commit:
        try:
            again_and_again(producer.commit_transaction)
            return "committed"
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
    # Not while anything is in flight: librdkafka 2.16 forgets it then, and may give the next batch of the same epoch
    # its sequence number. If the first one had arrived, the broker has to take the next for a duplicate.
    producer.flush(PATIENCE_SECONDS)
    again_and_again(producer.abort_transaction)
    return "aborted"


if __name__ == "__main__":
    bootstrap, transactional_id, name, path, partitions, seed = sys.argv[1:]
    Writer(bootstrap, transactional_id, name, path, partitions, int(seed)).run()
