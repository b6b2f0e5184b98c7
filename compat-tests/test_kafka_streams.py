"""Apache Kafka Streams: a word count with exactly_once_v2 over this project's own documentation, while its
instances and the broker are killed. The outcome is compared with counts made here."""

import re
import shutil
import time
from collections import Counter, defaultdict, deque

from confluent_kafka import Consumer, Producer, TopicPartition

from harness.clients import CONFLUENT, HERE
from harness.kafka_programs import PATIENCE_SECONDS, Program, java

PARTITIONS = 3
# So many words may be under way: an accident then always hits work.
WORDS_AHEAD = 400
BROKER_SETTINGS = [
    "--set=group.initial.rebalance.delay.ms=0",
    "--set=group.min.session.timeout.ms=1000",
    "--set=transaction.abort.timed.out.transaction.cleanup.interval.ms=500",
]
# A dead instance is missed soon, and what it left open ends soon.
SETTINGS = ["session.timeout.ms=3000", "heartbeat.interval.ms=500", "transaction.timeout.ms=5000"]
SETTINGS += ["num.stream.threads=2"]


def text():
    pages = [HERE.parent / "README.md", *sorted((HERE.parent / "docs").glob("*.md"))]
    return [line for page in pages for line in page.read_text(encoding="utf-8").splitlines() if line]


def words(line):
    return re.findall("[a-z]+", line.lower())


class Instance(Program):
    """One instance of the application. What it keeps lies in its folder."""

    def __init__(self, broker, topic, folder, *settings):
        self.state = folder / "state"
        arguments = (broker.kafka, f"count-{topic}", f"{topic}-text", f"{topic}-counts", self.state)
        folder.mkdir()
        program = java("WordCount", *arguments, *SETTINGS, *settings, folder=folder)
        super().__init__(program, folder / "log")


class Counts:
    """The changes of counts that a reader of committed records sees, by word and in order."""

    def __init__(self, broker, topic):
        settings = {
            "bootstrap.servers": broker.kafka,
            "group.id": "reader",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "reconnect.backoff.max.ms": 200,
        }
        self.consumer = Consumer(settings)
        self.consumer.assign([TopicPartition(f"{topic}-counts", index, 0) for index in range(PARTITIONS)])
        self.of_word = defaultdict(list)
        self.total = 0

    def read(self, seconds):
        for message in self.consumer.consume(500, seconds):
            if message.error() is None:
                self.of_word[message.key().decode()].append(int(message.value()))
                self.total += 1
            elif message.error().fatal():
                raise AssertionError(message.error())


class Text:
    """Sends lines, not many more than have been counted."""

    def __init__(self, broker, topic, lines):
        self.topic = f"{topic}-text"
        settings = {"bootstrap.servers": broker.kafka, "enable.idempotence": True, "linger.ms": 5}
        self.producer = Producer(settings | {"reconnect.backoff.max.ms": 200})
        self.lines = deque(lines)
        self.words = 0
        self.failed = []

    def send(self, counted):
        while self.lines and self.words - counted < WORDS_AHEAD:
            line = self.lines.popleft()
            self.words += len(words(line))
            self.producer.produce(self.topic, line.encode(), on_delivery=self._delivered)
        self.producer.poll(0)

    def _delivered(self, error, _message):
        if error is not None:
            self.failed.append(error)


def count_until(text, counts, wanted, instances):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while counts.total < wanted:
        text.send(counts.total)
        counts.read(0.1)
        assert not text.failed, text.failed
        failed = [one for one in instances if one.process is not None and one.process.poll() == 1]
        if failed or time.monotonic() > deadline:
            stories = "\n\n".join(instance.said()[-10_000:] for instance in instances)
            raise AssertionError(f"{counts.total} of {wanted} counted, {len(failed)} failed\n{stories}")


def test_words_are_counted_exactly_once_while_instances_and_the_broker_are_killed(own_broker, topic, tmp_path):
    lines = text()
    by_hand = Counter(word for line in lines for word in words(line))
    total = by_hand.total()
    broker = own_broker(*BROKER_SETTINGS).start()
    for name in (f"{topic}-text", f"{topic}-counts"):
        CONFLUENT.create(broker.kafka, name, PARTITIONS)
    first, second = (Instance(broker, topic, tmp_path / name) for name in ("first", "second"))
    instances = [first, second]
    feed, counts = Text(broker, topic, lines), Counts(broker, topic)

    def add_an_instance():
        second.start()
        second.wait_until_it_says("state\tRUNNING")

    def lose_an_instance():
        first.kill()

    def lose_the_broker():
        broker.kill()
        time.sleep(1)
        broker.start()

    def lose_an_instance_with_all_that_it_keeps():
        second.kill()
        shutil.rmtree(second.state)
        second.start()

    def lose_an_instance_and_the_broker():
        second.kill()
        broker.kill()
        broker.start()
        second.start()

    def restart_everything_in_good_order():
        assert second.stop() == 143 and broker.stop() == 0
        broker.start()
        first.start()

    accidents = [
        add_an_instance,
        lose_an_instance,
        lose_the_broker,
        lose_an_instance_with_all_that_it_keeps,
        lose_an_instance_and_the_broker,
        restart_everything_in_good_order,
    ]
    try:
        first.start()
        for number, accident in enumerate(accidents, 1):
            count_until(feed, counts, total * number // (len(accidents) + 1), instances)
            accident()
        count_until(feed, counts, total, instances)
        assert first.stop() == 143, first.said()
    finally:
        for instance in instances:
            if instance.runs():
                instance.kill()
    # Whatever comes behind would be too much.
    counts.read(1)
    assert {word: len(told) for word, told in counts.of_word.items()} == dict(by_hand)
    for word, told in counts.of_word.items():
        assert told == list(range(1, by_hand[word] + 1)), word
    again = Counts(broker, topic)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while again.total < total and time.monotonic() < deadline:
        again.read(0.5)
    again.read(1)
    assert again.of_word == counts.of_word
    assert broker.stop() == 0


def test_the_streams_rebalance_protocol_is_refused(own_broker, topic, tmp_path):
    """KIP-1071's heartbeat is not served: the application ends with an error that says so."""
    broker = own_broker().start()
    for name in (f"{topic}-text", f"{topic}-counts"):
        CONFLUENT.create(broker.kafka, name, PARTITIONS)
    instance = Instance(broker, topic, tmp_path / "one", "group.protocol=streams").start()
    try:
        code = instance.process.wait(PATIENCE_SECONDS)
    finally:
        if instance.runs():
            instance.kill()
    assert code == 1, instance.said()
    assert "STREAMS_GROUP_HEARTBEAT" in instance.said() or "not support" in instance.said()
    assert broker.stop() == 0
