"""`kill -9` under load, again and again, while a stream's shards are split and merged: after each restart every
acknowledged record is there, once, in order, and so is every confirmed change of the shards. THALWEG_KILLS says how often (50), THALWEG_SEED makes the moments of the kills repeatable."""

import os
import random
import time

import pytest

from crash.check import StreamCheck, check_numbered
from crash.load import KafkaWriter, KinesisWriter, kinesis
from crash.resharding import Resharder, TreeCheck, shards_of
from harness.broker import Broker
from harness.clients import CONFLUENT

KILLS = int(os.environ.get("THALWEG_KILLS", "50"))
SEED = int(os.environ.get("THALWEG_SEED", str(random.randrange(1 << 32))))
TOPICS = {"crash-plain": "none", "crash-zstd": "zstd"}
PARTITIONS = range(4)
STREAM = "crash-stream"
SHARDS = 3
# Every split and every merge leaves one more partition, however long the run is.
RESHARD_CHANCE = min(1.0, 50 / max(KILLS, 1))


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path / "data", "--cores=2").start()
    yield broker
    if broker.process.poll() is None:
        broker.kill()


def wait_for_progress(writers, broker):
    """Until each Kafka writer has new acknowledgements, so that every kill meets a busy broker."""
    before = [sum(writer.acknowledged.values()) for writer in writers]
    deadline = time.monotonic() + 60
    while any(
        sum(writer.acknowledged.values()) <= old for writer, old in zip(writers, before, strict=True)
    ):
        problems = [problem for writer in writers for problem in writer.problems]
        assert not problems, problems[:5]
        assert time.monotonic() < deadline, f"no progress:\n{broker.log()[-4000:]}"
        time.sleep(0.01)


def test_nothing_acknowledged_is_lost_doubled_or_moved(broker):
    print(f"\n{KILLS} kills, THALWEG_SEED={SEED}")
    chance = random.Random(SEED)
    client = kinesis(broker.aws_endpoint)
    client.create_stream(StreamName=STREAM, ShardCount=SHARDS)
    writers = []
    for topic, codec in TOPICS.items():
        CONFLUENT.create(broker.kafka, topic, len(PARTITIONS))
        writers.append(KafkaWriter(broker.kafka, topic, PARTITIONS, codec))
    puts = KinesisWriter(broker.aws_endpoint, STREAM)
    verified = {topic: {} for topic in TOPICS}
    resharder = Resharder(broker.aws_endpoint, STREAM, chance.random())
    stream, tree = StreamCheck(STREAM), TreeCheck(STREAM)
    slowest_start = 0.0

    for writer in [*writers, puts, resharder]:
        writer.start()
    for kill in range(1, KILLS + 1):
        if chance.random() < RESHARD_CHANCE:
            resharder.go()
        wait_for_progress(writers, broker)
        time.sleep(chance.uniform(0, 0.4))
        broker.kill()
        promised = {writer.topic: dict(writer.acknowledged) for writer in writers}
        promised_puts, promised_shards = dict(puts.acknowledged), resharder.promised
        if chance.random() < 0.2:  # and once more while it recovers
            broker.start(wait=False)
            time.sleep(chance.uniform(0, 0.1))
            broker.kill()
        started = time.monotonic()
        broker.start()
        slowest_start = max(slowest_start, time.monotonic() - started)
        resharder.check(shards_of(client, STREAM), promised_shards)
        for topic in TOPICS:
            check_numbered(broker.kafka, topic, promised[topic], verified[topic])
        if kill % 10 == 0 or kill == KILLS:
            stream.check(broker.kafka, promised_puts)
            tree.check(client, promised_puts)
            print(
                f"kill {kill}: {sum(map(sum, (v.values() for v in verified.values())))} + {len(promised_puts)} records,"
                f" {resharder.confirmed} changes of shards"
            )
        if kill % 7 == 0:
            writers[kill % len(writers)].renew()
        if kill % 13 == 0:  # a clean stop among the crashes
            assert broker.stop() == 0, broker.log()[-4000:]
            broker.start()

    for writer in [resharder, *writers, puts]:
        writer.finish()
        assert not writer.problems, writer.problems[:5]
    broker.kill()
    broker.start()
    for writer in writers:
        sent = {partition: count - 1 for partition, count in writer.next.items()}
        assert dict(writer.acknowledged) == sent
        check_numbered(broker.kafka, writer.topic, sent, {})
    resharder.check(shards_of(client, STREAM), resharder.promised)
    StreamCheck(STREAM).check(broker.kafka, puts.acknowledged)
    TreeCheck(STREAM).check(client, puts.acknowledged)
    assert resharder.confirmed, "the shards were never changed"
    print(f"slowest start after a kill: {slowest_start:.2f} s")
    assert broker.stop() == 0, broker.log()[-4000:]
    assert "panicked" not in broker.log()
