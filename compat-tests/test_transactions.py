"""Transactions by other people's clients: librdkafka in the first protocol, Java 4.x in the second."""

import subprocess
import threading
import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from harness.clients import CACHE, CONFLUENT, HERE

WAIT = 30


def java(*arguments):
    libs = CACHE / "java" / "new" / "libs"
    program = HERE / "java" / "transactions" / "TransactionalClient.java"
    options = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m")
    command = ["java", *options, "-cp", f"{libs}/*", str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{arguments} failed:\n{done.stderr}{done.stdout}"
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def producer(bootstrap, transactional_id, **options):
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": 30_000,
            "socket.timeout.ms": 10_000,
            "reconnect.backoff.max.ms": 200,
            **{name.replace("_", "."): value for name, value in options.items()},
        }
    )


def read(bootstrap, topic, partitions, isolation="read_committed"):
    """The values that are there, by partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.assign([TopicPartition(topic, index, 0) for index in range(partitions)])
    values, ended = {index: [] for index in range(partitions)}, set()
    deadline = time.monotonic() + WAIT
    while len(ended) < partitions:
        assert time.monotonic() < deadline, f"not read to the end: {ended}"
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error() is None:
            values[message.partition()].append(message.value().decode())
        elif message.error().code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        else:
            raise KafkaException(message.error())
    consumer.close()
    return values


def test_librdkafka_commits_and_aborts(broker, topic):
    CONFLUENT.create(broker.kafka, topic, 2)
    writer = producer(broker.kafka, f"tx-{topic}")
    writer.init_transactions(WAIT)
    for round in range(10):
        writer.begin_transaction()
        for partition in (0, 1):
            writer.produce(topic, f"{round}".encode(), partition=partition)
        if round % 2:
            writer.flush(WAIT)
            writer.abort_transaction(WAIT)
        else:
            writer.commit_transaction(WAIT)
    even = [str(round) for round in range(0, 10, 2)]
    assert read(broker.kafka, topic, 2) == {0: even, 1: even}
    everything = [str(round) for round in range(10)]
    assert read(broker.kafka, topic, 2, "read_uncommitted") == {0: everything, 1: everything}


def test_librdkafka_is_fenced_by_a_second_producer_of_its_id(broker, topic):
    CONFLUENT.create(broker.kafka, topic, 1)
    zombie = producer(broker.kafka, f"tx-{topic}")
    zombie.init_transactions(WAIT)
    zombie.begin_transaction()
    zombie.produce(topic, b"zombie", partition=0)
    zombie.flush(WAIT)
    heir = producer(broker.kafka, f"tx-{topic}")
    heir.init_transactions(WAIT)
    with pytest.raises(KafkaException) as refused:
        zombie.produce(topic, b"zombie", partition=0)
        zombie.commit_transaction(WAIT)
    assert refused.value.args[0].code() == KafkaError._FENCED
    assert refused.value.args[0].fatal()
    heir.begin_transaction()
    heir.produce(topic, b"heir", partition=0)
    heir.commit_transaction(WAIT)
    assert read(broker.kafka, topic, 1) == {0: ["heir"]}


def test_librdkafka_reads_processes_and_writes_exactly_once(broker, topic):
    """What is read is written again together with how far was read, also over aborts."""
    source, target = f"{topic}-in", f"{topic}-out"
    for name in (source, target):
        CONFLUENT.create(broker.kafka, name, 1)
    plain = Producer({"bootstrap.servers": broker.kafka})
    for number in range(100):
        plain.produce(source, str(number).encode(), partition=0)
    plain.flush(WAIT)

    writer = producer(broker.kafka, f"tx-{topic}")
    writer.init_transactions(WAIT)
    settings = {
        "bootstrap.servers": broker.kafka,
        "group.id": f"g-{topic}",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "session.timeout.ms": 6000,
    }
    done, round = 0, 0
    reader = Consumer(settings)
    reader.subscribe([source])
    deadline = time.monotonic() + 90
    while done < 100:
        assert time.monotonic() < deadline, f"only {done} done"
        messages = reader.consume(10, 2)
        if not messages:
            continue
        round += 1
        writer.begin_transaction()
        for message in messages:
            assert message.error() is None
            writer.produce(target, message.value(), partition=0)
        position = messages[-1].offset() + 1
        offsets = [TopicPartition(source, 0, position)]
        writer.send_offsets_to_transaction(offsets, reader.consumer_group_metadata(), WAIT)
        if round % 3 == 0:
            writer.abort_transaction(WAIT)
            [committed] = reader.committed([TopicPartition(source, 0)], WAIT)
            reader.seek(TopicPartition(source, 0, max(committed.offset, 0)))
            continue
        writer.commit_transaction(WAIT)
        done += len(messages)
    reader.close()
    assert read(broker.kafka, target, 1) == {0: [str(number) for number in range(100)]}


def test_java_uses_the_second_protocol_and_commits_and_aborts(broker, topic):
    assert ("transaction.version", "2") in java("features", broker.kafka, topic)
    CONFLUENT.create(broker.kafka, topic, 2)
    lines = java("ends", broker.kafka, topic)
    committed = {(f"committed {round}", "10") for round in range(20) if round % 3}
    aborted = {(f"aborted {round}", "10") for round in range(20) if round % 3 == 0}
    seen = {isolation: {line[1:] for line in lines if line[0] == isolation} for isolation in
            ("read_committed", "read_uncommitted")}
    assert seen["read_committed"] == committed
    assert seen["read_uncommitted"] == committed | aborted


def test_java_is_fenced_by_a_second_producer_of_its_id(broker, topic):
    CONFLUENT.create(broker.kafka, topic, 1)
    lines = java("fence", broker.kafka, topic)
    assert lines[0][0] == "fenced" and lines[0][1] in (
        "ProducerFencedException",
        "InvalidProducerEpochException",
    )
    assert ("read_committed", "heir", "1") in lines
    assert ("read_committed", "zombie", "1") not in lines


def test_java_commits_offsets_in_transactions(broker, topic):
    CONFLUENT.create(broker.kafka, topic, 2)
    lines = java("offsets", broker.kafka, topic, f"g-{topic}")
    assert lines == [("aborted", "none"), ("committed", "10 m")]


def test_java_looks_at_transactions_and_ends_one_that_hangs(broker, topic):
    CONFLUENT.create(broker.kafka, topic, 1)
    assert java("admin", broker.kafka, topic) == [
        ("described", "Ongoing", f"[{topic}-0]"),
        ("listed", "true"),
        ("open since", "0"),
        ("open after the abort", "false"),
        ("fenced",),
    ]


def test_an_open_transaction_survives_a_kill_and_is_aborted_by_its_heir(own_broker, topic):
    broker = own_broker().start()
    CONFLUENT.create(broker.kafka, topic, 1)
    assert java("leave-open", broker.kafka, topic, "tx") == [("open",)]
    broker.kill()
    broker.start()
    java("commit-one", broker.kafka, topic, "tx")
    assert set(java("read", broker.kafka, topic, 1)) == {
        ("read_committed", "heir", "1"),
        ("read_uncommitted", "heir", "1"),
        ("read_uncommitted", "left open", "1"),
    }
    assert broker.stop() == 0


def test_transactions_are_all_or_nothing_when_the_broker_is_killed_again_and_again(own_broker, topic):
    """librdkafka's producer goes on through kills; what it was told to be committed is there once in
    both partitions, what was aborted in neither, and nothing in one alone."""
    broker = own_broker().start()
    CONFLUENT.create(broker.kafka, topic, 2)
    committed, aborted, failures = [], [], []
    stop = threading.Event()

    def work():
        writer = producer(broker.kafka, "tx", message_timeout_ms=25_000)
        writer.init_transactions(WAIT)
        number = 0
        try:
            while not stop.is_set():
                number += 1
                writer.begin_transaction()
                for partition in (0, 1):
                    writer.produce(topic, str(number).encode(), partition=partition)
                if number % 4 == 0:
                    writer.abort_transaction(WAIT)
                    aborted.append(str(number))
                    continue
                while True:
                    try:
                        writer.commit_transaction(WAIT)
                        committed.append(str(number))
                        break
                    except KafkaException as error:
                        if error.args[0].retriable():
                            continue
                        if not error.args[0].txn_requires_abort():
                            raise
                        writer.abort_transaction(WAIT)
                        aborted.append(str(number))
                        break
        except KafkaException as error:
            failures.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    for pause in (0.5, 0.31, 0.7, 0.43, 0.9, 0.2):
        time.sleep(pause)
        broker.kill()
        broker.start()
    told, deadline = len(committed), time.monotonic() + 60
    while len(committed) < told + 10 and worker.is_alive():
        assert time.monotonic() < deadline, "the producer does not go on after the last kill"
        time.sleep(0.1)
    stop.set()
    worker.join(120)
    assert not worker.is_alive() and not failures, failures
    values = read(broker.kafka, topic, 2)
    assert values[0] == values[1] == committed
    assert broker.stop() == 0
