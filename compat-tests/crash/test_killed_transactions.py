"""Transactions while clients and broker are killed with -9: producers over several partitions, two of them of one
transactional id; members of a group that copy a topic exactly once; read_committed readers. In the end their notes
are held against what transactions promise (transactions/checker.py).

It ends after half a minute, or THALWEG_SECONDS; with THALWEG_TRANSACTIONS once so many have ended. A pause
between kills lasts up to THALWEG_PAUSE_SECONDS, and THALWEG_SEED makes their moments repeatable."""

import os
import random
import time
from collections import Counter

import pytest
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from crash.clients import Client, copier, java_writer, reader, writer
from harness.broker import Broker
from harness.clients import CONFLUENT
from transactions.checker import check
from transactions.history import History, Log

TRANSACTIONS = int(os.environ.get("THALWEG_TRANSACTIONS", "0"))
SECONDS = float(os.environ.get("THALWEG_SECONDS", "inf" if TRANSACTIONS else "30"))
PAUSE_SECONDS = float(os.environ.get("THALWEG_PAUSE_SECONDS", "1.5"))
SEED = int(os.environ.get("THALWEG_SEED", str(random.randrange(1 << 32))))
SOURCE, OTHER, COPIES = "orders", "payments", "copies"
PARTITIONS = range(3)
CALL_SECONDS = 30
READ_SECONDS = 120
# Members that were killed are missed after six seconds, and a copier's open transaction ends after ten.
COPIED_SECONDS = 120
STUCK_SECONDS = 25


@pytest.fixture
def broker(tmp_path):
    settings = ("group.initial.rebalance.delay.ms=0", "transaction.abort.timed.out.transaction.cleanup.interval.ms=500")
    broker = Broker(tmp_path / "data", "--cores=2", *(f"--set={setting}" for setting in settings)).start()
    yield broker
    if broker.process.poll() is None:
        broker.kill()


@pytest.fixture
def clients(broker, tmp_path):
    """The clients of the run, by what they do."""
    chance = random.Random(SEED + 1)
    written = [f"{topic}-{index}" for topic in (SOURCE, OTHER) for index in PARTITIONS]
    everything = [*written, *(f"{COPIES}-{index}" for index in PARTITIONS)]
    roles = {
        # The last two fence each other.
        "writers": {
            **{f"writer{n}": writer(broker.kafka, f"writer-{min(n, 2)}", written) for n in range(1, 4)},
            "java": java_writer(broker.kafka, "writer-java", written),
        },
        "copiers": {
            f"copier{n}": copier(broker.kafka, f"copier-{n}", "copiers", SOURCE, COPIES) for n in range(1, 3)
        },
        "readers": {f"reader{n}": reader(broker.kafka, everything) for n in range(1, 3)},
    }
    made = {
        kind: [Client(role, name, tmp_path, chance) for name, role in by_name.items()]
        for kind, by_name in roles.items()
    }
    yield made
    for client in sum(made.values(), []):
        client.end()


def ids(clients):
    """The transactional ids of the run."""
    return sorted({client.role.before[1] for kind in ("writers", "copiers") for client in clients[kind]})


def disturb(broker, clients, chance):
    """Kills something, and starts it again."""
    what = chance.random()
    if what < 0.4:
        broker.kill()
        if chance.random() < 0.3:  # and once more while it recovers
            broker.start(wait=False)
            time.sleep(chance.uniform(0, 0.1))
            broker.kill()
        broker.start()
        return "broker"
    if what < 0.45:  # a clean stop among the crashes
        assert broker.stop() == 0, broker.log()[-4000:]
        broker.start()
        return "stop"
    kind = "writers" if what < 0.75 else "readers" if what < 0.88 else "copiers"
    client = chance.choice(clients[kind])
    client.kill()
    client.start()
    return kind


def wait_for_progress(broker, clients):
    """Until transactions have ended since now, so that every kill meets a busy broker."""
    before, deadline = ended(clients["writers"]), time.monotonic() + 60
    while ended(clients["writers"]) <= before:
        for client in sum(clients.values(), []):
            client.check_alive()
        assert time.monotonic() < deadline, f"no transaction ends:\n{broker.log()[-4000:]}"
        time.sleep(0.02)


def ended(clients):
    return sum(client.ended_transactions() for client in clients)


def end_what_is_open(broker, transactional_ids):
    """A successor of each producer, which aborts what the last one has left open."""
    for name in transactional_ids:
        successor = Producer({"bootstrap.servers": broker.kafka, "transactional.id": name, "log_level": 0})
        successor.init_transactions(CALL_SECONDS)


def read_log(broker, topic, index):
    """A partition from its beginning to its last stable offset."""
    admin = AdminClient({"bootstrap.servers": broker.kafka})
    place = TopicPartition(topic, index)

    def end(isolation):
        [asked] = admin.list_offsets({place: OffsetSpec.latest()}, isolation_level=isolation).values()
        return asked.result(CALL_SECONDS).offset

    consumer = Consumer(
        {
            "bootstrap.servers": broker.kafka,
            "group.id": "unused",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "check.crcs": True,
        }
    )
    consumer.assign([TopicPartition(topic, index, 0)])
    records, deadline = [], time.monotonic() + READ_SECONDS
    while time.monotonic() < deadline:
        for message in consumer.consume(10_000, 0.2):
            error = message.error()
            if error is None:
                records.append((message.offset(), message.value().decode()))
            elif error.code() == KafkaError._PARTITION_EOF:
                consumer.close()
                stable, high = (end(it) for it in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED))
                return Log(records, stable, high)
            else:
                raise KafkaException(error)
    raise AssertionError(f"{topic}-{index} has no end after {len(records)} records:\n{broker.log()[-4000:]}")


def wait_until_copied(broker, clients):
    """Until there are as many copies as there is to be copied; more are for the checker to find, and what is missing
    when that takes too long. Members that stand still are killed, as an operator would: what a client has got stuck in
    is not the broker's fault, if the next one goes on."""

    def missing():
        counts = [sum(len(read_log(broker, topic, index).records) for index in PARTITIONS) for topic in (SOURCE, COPIES)]
        return counts[0] - counts[1]

    deadline = time.monotonic() + COPIED_SECONDS
    least, since = missing(), time.monotonic()
    while (left := missing()) > 0:
        for client in clients["copiers"]:
            client.check_alive()
        if time.monotonic() > deadline:
            print(f"{left} records are not copied:\n{broker.log()[-4000:]}")
            return
        if left < least:
            least, since = left, time.monotonic()
        if time.monotonic() > since + STUCK_SECONDS:
            since = time.monotonic()
            for client in clients["copiers"]:
                print(f"{client.name} stands still: {client.say_where_it_stands()}")
                client.kill()
                client.start()
        time.sleep(0.5)


def test_transactions_keep_their_promises_when_clients_and_broker_are_killed(broker, clients):
    print(f"\nTHALWEG_SEED={SEED}")
    chance = random.Random(SEED)
    for topic in (SOURCE, OTHER, COPIES):
        CONFLUENT.create(broker.kafka, topic, len(PARTITIONS), segment_bytes=1 << 20)
    for client in sum(clients.values(), []):
        client.start()
    kills, deadline = {}, time.monotonic() + SECONDS
    while time.monotonic() < deadline and not 0 < TRANSACTIONS <= ended(clients["writers"]):
        wait_for_progress(broker, clients)
        time.sleep(chance.uniform(0, PAUSE_SECONDS))
        killed = disturb(broker, clients, chance)
        kills[killed] = kills.get(killed, 0) + 1
        if sum(kills.values()) % 50 == 0:
            print(f"{ended(clients['writers'])} transactions; killed: {kills}", flush=True)

    for client in clients["writers"]:
        client.ask_to_stop()
    for client in clients["writers"]:
        client.wait()
    end_what_is_open(broker, ids({"writers": clients["writers"], "copiers": []}))
    wait_until_copied(broker, clients)
    for client in [*clients["copiers"], *clients["readers"]]:
        client.ask_to_stop()
    for client in clients["readers"]:
        client.wait()
    for client in clients["copiers"]:
        # Now and then librdkafka does not come back from sending offsets after the broker did, whatever its timeout.
        client.wait_or_kill(STUCK_SECONDS)
    end_what_is_open(broker, ids(clients))
    broker.kill()
    broker.start()

    history = History(copies={f"{COPIES}-{index}": f"{SOURCE}-{index}" for index in PARTITIONS})
    for client in sum(clients.values(), []):
        client.load(history)
    for topic in (SOURCE, OTHER, COPIES):
        for index in PARTITIONS:
            history.logs[f"{topic}-{index}"] = read_log(broker, topic, index)
    outcomes = [transaction.outcome or f"asked to {transaction.asked}" for transaction in history.transactions]
    told = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    read = sum(len(run.records) for run in history.runs)
    print(f"transactions: {told}; {read} records read; killed: {kills}")
    problems = check(history)
    by_kind = Counter(problem.kind for problem in problems)
    assert not problems, "\n".join(map(str, [f"problems: {dict(by_kind)}", *problems[:20]]))
    assert told["committed"] > 0 and told["aborted"] > 0 and read > 0
    assert broker.stop() == 0, broker.log()[-4000:]
    assert "panicked" not in broker.log()
