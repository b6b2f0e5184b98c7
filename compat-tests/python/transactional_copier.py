"""A member of a consumer group that copies what it reads, exactly once: the copies and how far it has read are one
transaction (librdkafka). It notes what it does as compat-tests/transactions/history.py describes it, begins anew
when it is fenced, and ends when its stdin does."""

import faulthandler
import json
import random
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from transactional_writer import CALL_SECONDS, again_and_again, end, until_stdin_ends

BATCH_MAX = 200
# How many of its transactions a copier dawdles over, and for how long: longer than its group waits for it, and shorter
# than its coordinator does.
DAWDLES = 0.02
DAWDLE_SECONDS = (6.5, 9)


class Copier:
    def __init__(self, bootstrap, transactional_id, name, path, group, source, target, seed):
        self.bootstrap = bootstrap
        self.transactional_id = transactional_id
        self.name, self.group = name, group
        self.source, self.target = source, target
        self.file = open(path, "a", encoding="utf-8", buffering=1)
        self.chance = random.Random(seed)
        self.number = 0
        # How often the assignment has changed, and the member's place in the group since then.
        self.changes, self.metadata = 0, None
        self.stopping = until_stdin_ends()

    def note(self, **event):
        self.file.write(json.dumps(event, separators=(",", ":")) + "\n")

    def clients(self):
        shared = {
            "bootstrap.servers": self.bootstrap,
            "socket.timeout.ms": 10_000,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200,
            "log_level": 0,
        }
        producer = Producer(
            {
                **shared,
                "transactional.id": self.transactional_id,
                "transaction.timeout.ms": 10_000,
                "message.timeout.ms": 9_000,
                "linger.ms": 1,
            }
        )
        consumer = Consumer(
            {
                **shared,
                "group.id": self.group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "session.timeout.ms": 6_000,
                "heartbeat.interval.ms": 500,
                "max.poll.interval.ms": 6_000,
                "fetch.wait.max.ms": 100,
            }
        )
        return producer, consumer

    def assigned(self, consumer, _):
        self.changes += 1
        self.metadata = consumer.consumer_group_metadata()

    def revoked(self, *_):
        self.changes += 1
        self.metadata = None

    def run(self):
        while not self.stopping.is_set():
            producer, consumer = self.clients()
            try:
                again_and_again(producer.init_transactions)
                consumer.subscribe(
                    [self.source], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.revoked
                )
                is_member = True
                while is_member and not self.stopping.is_set():
                    is_member = self.go_on(producer, consumer)
            except KafkaException as error:
                if not error.args[0].fatal():
                    raise
                producer.purge()
                time.sleep(self.chance.uniform(0, 0.5))
            # What was read and not copied is read again: by a new member, from what is committed.
            consumer.close()

    def go_on(self, producer, consumer):
        """Reads and copies. Whether to read on; else a new member has to begin where it was committed."""
        changes = self.changes
        messages = consumer.consume(self.chance.randrange(1, BATCH_MAX), 0.2)
        messages = [message for message in messages if message.error() is None]
        if messages and self.changes != changes:
            # Some may be of the assignment before: committed under the new one, they would be copied twice.
            return self.go_back(consumer, {message.partition() for message in messages})
        return not messages or self.copy(producer, consumer, messages)

    def copy(self, producer, consumer, messages):
        """Writes copies, and with them how far was read; sometimes it changes its mind."""
        self.number += 1
        number, writes, offsets = self.number, [], {}
        for place, message in enumerate(messages):
            source = message.value().decode()
            writes.append((message.partition(), f"{source}|{self.name}/{number}/{place}", source))
            offsets[message.partition()] = message.offset() + 1
        self.note(begin=number, writes=[[f"{self.target}-{index}", *values] for index, *values in writes])
        producer.begin_transaction()
        is_in, commit = True, self.chance.random() < 0.85
        try:
            for index, value, _ in writes:
                producer.produce(self.target, value.encode(), partition=index)
                producer.poll(0)
            if self.chance.random() < DAWDLES:
                # Another member takes over and copies the same; this one's offsets must then be refused.
                time.sleep(self.chance.uniform(*DAWDLE_SECONDS))
            positions = [TopicPartition(self.source, index, offset) for index, offset in offsets.items()]
            again_and_again(
                lambda seconds: producer.send_offsets_to_transaction(positions, self.metadata, seconds)
            )
        except KafkaException as error:
            # The group has gone on without this member, or a batch came too late.
            if error.args[0].fatal():
                raise
            is_in = commit = False
        self.note(end=number, commit=commit)
        outcome = end(producer, commit)
        self.note(ended=number, outcome=outcome)
        return outcome == "committed" or (is_in and not commit and self.go_back(consumer, offsets))

    def go_back(self, consumer, indexes):
        """Reads on where the group has come to, unless the partitions are somebody else's by now."""
        partitions = [TopicPartition(self.source, index) for index in indexes]
        try:
            for position in consumer.committed(partitions, CALL_SECONDS):
                consumer.seek(TopicPartition(self.source, position.partition, max(position.offset, 0)))
        except KafkaException:
            return False
        return True


if __name__ == "__main__":
    # Whoever finds that it stands still may ask where.
    faulthandler.register(signal.SIGUSR1)
    Copier(*sys.argv[1:]).run()
