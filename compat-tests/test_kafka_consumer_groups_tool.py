"""kafka-consumer-groups, Apache Kafka's own tool: groups at work, lag, and offsets reset and deleted."""

import os
import time
import uuid
from datetime import datetime, timezone

import pytest
from confluent_kafka import Consumer, TopicPartition

from harness.broker import Broker
from harness.clients import CONFLUENT
from harness.kafka_programs import Tools
from harness.members import CLASSIC_PROTOCOL, CONSUMER_PROTOCOL, wait_until
from harness.records import Record

WAIT = 30
PARTITIONS = 2
# Rebalances without a pause.
SETTINGS = [
    "--set=group.initial.rebalance.delay.ms=0",
    "--set=group.consumer.min.heartbeat.interval.ms=500",
    "--set=group.consumer.heartbeat.interval.ms=500",
    "--set=group.consumer.assignment.interval.ms=0",
]
PROGRAMS = [
    next(program for program in programs if program.name == "confluent-kafka")
    for programs in (CLASSIC_PROTOCOL, CONSUMER_PROTOCOL)
]


@pytest.fixture(scope="module")
def quick(request, tmp_path_factory):
    if os.environ.get("THALWEG_KAFKA_IS_FOREIGN"):
        yield request.getfixturevalue("broker")
        return
    broker = Broker(tmp_path_factory.mktemp("quick") / "data", *SETTINGS).start()
    yield broker
    assert broker.stop() == 0


@pytest.fixture(scope="module")
def tools(quick):
    tools = Tools(quick.kafka)
    yield tools
    tools.close()


@pytest.fixture
def group():
    return f"g-{uuid.uuid4().hex[:12]}"


def write(broker, topic, count, first_ms=0):
    """So many records into each partition, a second apart."""
    first_ms = first_ms or int(time.time() * 1000)
    records = [
        Record(partition, first_ms + 1000 * at, None, str(at).encode(), [])
        for partition in range(PARTITIONS)
        for at in range(count)
    ]
    CONFLUENT.produce(broker.kafka, topic, records)


def offsets(tools, group, *columns):
    """Columns of the table of a group's offsets, by partition."""
    rows = tools.good("kafka-consumer-groups", "--describe", "--group", group).rows("GROUP")
    return {int(row["PARTITION"]): tuple(row[column] for column in columns) for row in rows}


def committed(broker, group, topic):
    """What another client finds committed."""
    consumer = Consumer({"bootstrap.servers": broker.kafka, "group.id": group})
    asked = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    found = [partition.offset for partition in consumer.committed(asked, WAIT)]
    consumer.close()
    return [None if offset < 0 else offset for offset in found]


@pytest.mark.parametrize("program", PROGRAMS, ids=["classic", "consumer"])
def test_it_shows_a_group_at_work_and_leaves_it_alone(tools, quick, topic, group, program):
    CONFLUENT.create(quick.kafka, topic, PARTITIONS)
    write(quick, topic, 5)
    members = [program.start(quick.kafka, group, topic) for _ in range(2)]
    try:
        shared = [{f"{topic}-0"}, {f"{topic}-1"}]

        def settled():
            held = sorted((member.assigned or set() for member in members), key=sorted)
            values = sum(len(member.records) for member in members)
            done = all(member.committed == len(member.records) for member in members)
            return held == shared and values >= 10 and done

        wait_until(members, settled, "both share, and have committed what they read")
        names = ("CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "HOST")
        assert offsets(tools, group, *names) == {0: ("5", "5", "0", "/127.0.0.1"), 1: ("5", "5", "0", "/127.0.0.1")}
        ids = {row for row, *_ in offsets(tools, group, "CONSUMER-ID").values()}
        assert len(ids) == 2

        about = ("kafka-consumer-groups", "--describe", "--group", group)
        rows = tools.good(*about, "--members", "--verbose").rows("GROUP")
        assert {row["CONSUMER-ID"] for row in rows} == ids
        assert sorted((row["#PARTITIONS"], row["CURRENT-ASSIGNMENT"]) for row in rows) == [
            ("1", f"{topic}:0"),
            ("1", f"{topic}:1"),
        ]
        state = tools.good(*about, "--state").out.split()
        assert state[-2:] == ["Stable", "2"], state
        listed = tools.good("kafka-consumer-groups", "--list", "--state", "Stable").rows("GROUP")
        assert group in [row["GROUP"] for row in listed]

        alone = ("--group", group, "--topic", topic, "--to-earliest", "--execute")
        refused = tools.run("kafka-consumer-groups", "--reset-offsets", *alone)
        assert "is inactive, but the current state is Stable" in refused.out, refused
        refused = tools.run("kafka-consumer-groups", "--delete", "--group", group)
        assert "Error: " in refused.out and "not empty" in refused.out, refused
        refused = tools.run("kafka-consumer-groups", "--delete-offsets", "--group", group, "--topic", topic)
        assert "Error: " in refused.out and "actively subscribed" in refused.out, refused
        assert committed(quick, group, topic) == [5, 5]

        for member in members:
            member.stop()
        write(quick, topic, 3)
        names = ("CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID")
        assert offsets(tools, group, *names) == {0: ("5", "8", "3", "-"), 1: ("5", "8", "3", "-")}
        state = tools.good(*about, "--state")
        assert state.out.split()[-2:] == ["Empty", "0"] and "has no active members" in state.err, state
    finally:
        for member in members:
            if member.process.poll() is None:
                member.kill()


def test_it_resets_and_deletes_offsets_and_deletes_the_group(tools, quick, topic, group):
    CONFLUENT.create(quick.kafka, topic, PARTITIONS)
    first_ms = int(time.time() * 1000) - 60_000
    write(quick, topic, 10, first_ms)
    fifth = datetime.fromtimestamp(first_ms / 1000 + 4, timezone.utc).isoformat(timespec="milliseconds")

    def reset(*how, on=topic):
        about = ("--reset-offsets", "--group", group, "--topic", on)
        rows = tools.good("kafka-consumer-groups", *about, *how).rows("GROUP")
        return {int(row["PARTITION"]): int(row["NEW-OFFSET"]) for row in rows}

    both = {partition: 0 for partition in range(PARTITIONS)}
    # A group that does not exist yet is made by it.
    assert reset("--to-offset", 3, "--dry-run") == dict.fromkeys(both, 3)
    assert committed(quick, group, topic) == [None, None]
    assert reset("--to-offset", 3, "--execute") == dict.fromkeys(both, 3)
    assert committed(quick, group, topic) == [3, 3]
    assert reset("--shift-by", 4, "--execute", on=f"{topic}:1") == {1: 7}
    assert committed(quick, group, topic) == [3, 7]
    assert reset("--shift-by", -2, "--execute") == {0: 1, 1: 5}
    # Beyond the end means the end.
    assert reset("--shift-by", 100, "--execute") == dict.fromkeys(both, 10)
    assert reset("--to-datetime", fifth.removesuffix("+00:00"), "--execute") == dict.fromkeys(both, 4)
    assert reset("--to-earliest", "--execute") == both
    assert reset("--to-latest", "--execute") == dict.fromkeys(both, 10)
    assert reset("--to-offset", 2, "--execute") == dict.fromkeys(both, 2)
    assert offsets(tools, group, "CURRENT-OFFSET", "LAG") == {0: ("2", "8"), 1: ("2", "8")}
    assert committed(quick, group, topic) == [2, 2]

    deleted = tools.good("kafka-consumer-groups", "--delete-offsets", "--group", group, "--topic", f"{topic}:0")
    assert "Request succeed" in deleted.out and "Successful" in deleted.out, deleted
    assert committed(quick, group, topic) == [None, 2]
    assert group in tools.good("kafka-consumer-groups", "--list").out.splitlines()
    assert group in tools.good("kafka-groups", "--list").out
    deleted = tools.good("kafka-consumer-groups", "--delete", "--group", group)
    assert "successful" in deleted.out and group in deleted.out, deleted
    assert group not in tools.good("kafka-consumer-groups", "--list").out.splitlines()
    assert committed(quick, group, topic) == [None, None]
    gone = tools.run("kafka-consumer-groups", "--describe", "--group", group)
    assert "not found" in gone.out or "does not exist" in gone.out, gone
