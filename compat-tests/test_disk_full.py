"""A disk that is really full: writes are refused at once, everything else goes on, and writing
resumes by itself when there is space."""

import subprocess
import time

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from crash.check import check_numbered, read
from crash.load import KafkaWriter, kinesis

from harness import small_disk
from harness.small_disk import MIB
from harness.metrics import Page, get
from harness.wire import Connection, batch

KAFKA_STORAGE_ERROR = 56
DISK_BYTES = 400 * MIB
BATCH = batch([bytes(700_000)])
# To have segments to delete.
BULK_BATCHES = 60
RESUME_SECONDS = 30


@pytest.fixture
def disk(tmp_path):
    try:
        disk = small_disk.mount(tmp_path, DISK_BYTES)
    except small_disk.CannotMount as why:
        pytest.skip(f"no small file system can be mounted here: {why}")
    yield disk
    disk.unmount()


@pytest.fixture
def broker(disk, own_broker):
    # One core, so that journals of others do not take up the disk before there are records.
    broker = own_broker("--cores=1", data_dir=disk.inner_directory / "data", prefix=disk.prefix)
    yield broker.start()
    if broker.process.poll() is None:
        broker.kill()


class Bulk:
    """Large batches, one at a time; each that is acknowledged counts."""

    def __init__(self, broker):
        self.broker = broker
        self.topic = "bulk"
        self.next_offset = 0

    def produce(self):
        """The error code, told at once: no answer would be a failure."""
        with Connection(self.broker.kafka) as connection:
            code, offset = connection.produce(self.topic, BATCH)
        if code == 0:
            assert offset == self.next_offset
            self.next_offset += 1
        return code

    def produce_until(self, wanted, batches=0):
        deadline = time.monotonic() + RESUME_SECONDS
        while (code := self.produce()) != wanted or batches > 0:
            batches -= 1
            assert time.monotonic() < deadline, f"still answered with {code}, not {wanted}"
            time.sleep(0 if code == 0 else 0.05)


def create(broker, topic, **configs):
    admin = AdminClient({"bootstrap.servers": broker.kafka})
    configs = {name.replace("_", "."): str(value) for name, value in configs.items()}
    for done in admin.create_topics([NewTopic(topic, 1, config=configs)]).values():
        done.result(20)
    return admin


def delete_records(admin, disk, bulk):
    [done] = admin.delete_records([TopicPartition(bulk.topic, 0, bulk.next_offset)]).values()
    assert done.result(20).low_watermark == bulk.next_offset


def delete_a_topic(admin, disk, bulk):
    [done] = admin.delete_topics([bulk.topic]).values()
    done.result(20)
    bulk.topic, bulk.next_offset = "spare", 0


def remove_another_file(admin, disk, bulk):
    disk.remove_filler()


@pytest.mark.parametrize("make_space", [delete_records, delete_a_topic, remove_another_file])
def test_writes_are_refused_until_there_is_space_and_nothing_is_lost(disk, broker, topic, make_space):
    create(broker, topic)
    create(broker, "spare")
    admin = create(broker, "bulk", segment_bytes=4 * MIB)
    bulk = Bulk(broker)
    bulk.produce_until(0, batches=BULK_BATCHES)
    writer = KafkaWriter(broker.kafka, topic, [0], "none")
    writer.start()
    client = kinesis(broker.aws_endpoint, attempts=1)

    disk.fill()
    bulk.produce_until(KAFKA_STORAGE_ERROR)

    # It says so of itself.
    status, why = get(broker, "/readyz")
    assert status == 503 and "the disk is full" in why
    assert get(broker, "/livez")[0] == 200
    assert Page(broker).value("thalweg_storage_full") == 1
    # Full: neither door takes a record, and each says so with an error that clients try again on.
    records = [{"Data": b"data", "PartitionKey": f"key-{n}"} for n in range(5)]
    answer = client.put_records(StreamName=topic, Records=records)
    assert answer["FailedRecordCount"] == len(records)
    assert {record["ErrorCode"] for record in answer["Records"]} == {"InternalFailure"}
    with pytest.raises(client.exceptions.InternalFailureException):
        client.put_record(StreamName=topic, Data=b"data", PartitionKey="key")
    # Reads go on.
    check_numbered(broker.kafka, topic, writer.acknowledged, {})
    assert len(read(broker.kafka, bulk.topic, 0, 0, bulk.next_offset)) == bulk.next_offset
    assert bulk.produce() == KAFKA_STORAGE_ERROR

    make_space(admin, disk, bulk)
    bulk.produce_until(0)
    assert get(broker, "/readyz") == (200, "ready\n")
    writer.finish()
    assert writer.problems == []

    broker.kill()
    broker.start()
    # What the Kinesis door refused is not there either: the records are the writer's alone.
    check_numbered(broker.kafka, topic, writer.acknowledged, {})
    assert "the disk is full" in broker.log()
    assert broker.stop() == 0


def test_it_starts_on_a_full_disk_serves_what_it_has_and_writes_when_there_is_space(disk, broker, topic):
    create(broker, "bulk")
    bulk = Bulk(broker)
    bulk.produce_until(0, batches=BULK_BATCHES)
    disk.fill()
    bulk.produce_until(KAFKA_STORAGE_ERROR)
    acknowledged = bulk.next_offset

    broker.kill()
    disk.fill()
    broker.start()
    assert len(read(broker.kafka, "bulk", 0, 0, acknowledged)) == acknowledged
    bulk.produce_until(KAFKA_STORAGE_ERROR)

    disk.remove_filler()
    bulk.produce_until(0)
    assert len(read(broker.kafka, "bulk", 0, 0, bulk.next_offset)) == bulk.next_offset
    assert broker.stop() == 0


def test_a_new_data_directory_on_a_full_disk_is_refused_by_name_and_made_when_there_is_space(disk, own_broker):
    broker = own_broker(data_dir=disk.inner_directory / "data", prefix=disk.prefix)
    disk.fill()
    done = subprocess.run(broker.command(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert str(broker.data_dir) in done.stderr and "No space left" in done.stderr, done.stderr

    disk.remove_filler()
    assert broker.start().stop() == 0
