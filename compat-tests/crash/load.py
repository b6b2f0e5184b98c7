"""The load under which the broker is killed, and what it was promised.

Each writer numbers its records 0, 1, 2 … and remembers which of them were acknowledged.
"""

import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import Producer

PAUSE_WHEN_FULL_SECONDS = 0.01


class KafkaWriter:
    """One idempotent acks=all producer on several partitions; it lives through the crashes and sends
    again what was in flight. Record n of a partition must come to lie at offset n, once."""

    def __init__(self, bootstrap, topic, partitions, codec):
        self.topic, self.partitions = topic, partitions
        self.options = {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": codec,
            "linger.ms": 2,
            "message.timeout.ms": 120_000,
            "retry.backoff.ms": 10,
            "reconnect.backoff.ms": 10,
            "reconnect.backoff.max.ms": 100,
            "queue.buffering.max.messages": 2_000,
            "error_cb": self._on_error,
            "logger": _no_logger(),
        }
        self.next = dict.fromkeys(partitions, 0)
        self.acknowledged = dict.fromkeys(partitions, -1)  # the last offset
        self.problems = []
        self._stop = threading.Event()
        self._renew = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()

    def renew(self):
        """Goes on with a new producer id, once the old producer has nothing in flight."""
        self._renew.set()

    def finish(self):
        """Sends nothing new, and waits until all is acknowledged."""
        self._stop.set()
        self._thread.join(180)
        if self._thread.is_alive():
            self.problems.append("records stay in flight")

    def _run(self):
        producer = Producer(self.options)
        while not self._stop.is_set():
            for partition in self.partitions:
                self._send(producer, partition)
            producer.poll(0)
            time.sleep(0.0005)
            if self._renew.is_set():
                self._renew.clear()
                producer.flush(120)
                producer = Producer(self.options)
        if left := producer.flush(150):
            self.problems.append(f"{left} records were not delivered")

    def _send(self, producer, partition):
        number = self.next[partition]
        value = b"%d " % number + b"." * (number * 37 % 900)
        try:
            producer.produce(
                self.topic,
                value=value,
                key=b"%d" % number,
                partition=partition,
                on_delivery=lambda error, message: self._delivered(number, error, message),
            )
            self.next[partition] += 1
        except BufferError:
            producer.poll(PAUSE_WHEN_FULL_SECONDS)

    def _delivered(self, number, error, message):
        if error is not None:
            self.problems.append(f"record {number}: {error}")
        elif message.offset() != number:
            self.problems.append(
                f"record {number} of partition {message.partition()} was acknowledged at offset {message.offset()}"
            )
        else:
            self.acknowledged[message.partition()] = number

    def _on_error(self, error):
        if error.fatal():
            self.problems.append(f"the producer gave up: {error}")


def key_of(number):
    """The partition key of a put record: few, and some twice in one call."""
    return f"key-{number % 16}"


class KinesisWriter:
    """PutRecords, one call at a time, never repeated. An acknowledged record is there once; one whose
    call failed is there once or not at all; of one key both are in the order of the calls."""

    def __init__(self, endpoint, stream):
        self.stream = stream
        self.endpoint = endpoint
        self.next = 0
        self.acknowledged = {}  # number: (shard, sequence number)
        self.problems = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()

    def finish(self):
        self._stop.set()
        self._thread.join(60)

    def _run(self):
        client = kinesis(self.endpoint, attempts=1)
        while not self._stop.is_set():
            numbers = range(self.next, self.next + 20)
            self.next = numbers.stop
            records = [{"Data": b"%d" % n, "PartitionKey": key_of(n)} for n in numbers]
            try:
                answer = client.put_records(StreamName=self.stream, Records=records)
            except (BotoCoreError, ClientError):
                time.sleep(0.02)
                continue
            for number, told in zip(numbers, answer["Records"], strict=True):
                if "SequenceNumber" in told:
                    self.acknowledged[number] = (told["ShardId"], told["SequenceNumber"])


def kinesis(endpoint, attempts=5):
    return boto3.client(
        "kinesis",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(
            retries={"mode": "standard", "total_max_attempts": attempts}, connect_timeout=2, read_timeout=10
        ),
    )


def _no_logger():
    """librdkafka reports every lost connection, which here is the point."""
    import logging

    logger = logging.getLogger("quiet")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
