"""Every client creates, produces with every codec, with and without idempotence, and consumes by
offset and by time; what it wrote is read by a client in another language too, byte for byte."""

import time

import pytest

from harness.clients import CLIENTS, CODECS, another
from harness.records import Record

PARTITIONS = 3
# Yesterday, to the second: well within the retention of a topic.
START_MS = (int(time.time()) - 86_400) * 1000


def records_of(client, count=90):
    """Keys and values of every kind: null, empty, not text, and larger than a network packet."""
    keys = [None, b"", b"key", "schl\u00fcssel".encode(), bytes(range(256))]
    values = [b"value", b"", bytes(range(256)) * 8, b"x" * 20_000]
    headers = [[], [("trace", b"\x00\xff")], [("a", b""), ("a", b"twice"), ("\u00e4", b"name")]]
    if client.null_headers:
        headers.append([("nothing", None)])
    if client.name == "kafkajs":  # its headers are an object: a name occurs once
        headers[2] = [("a", b""), ("\u00e4", b"name")]
    records = []
    for i in range(count):
        key = keys[i % len(keys)]
        # A null value is a tombstone, which has a key.
        value = None if i % 30 == 2 else values[i % len(values)]
        records.append(
            Record(i % PARTITIONS, START_MS + 1000 * i, key, value, headers[i % len(headers)])
        )
    return records


def in_partition(records, partition):
    return [record for record in records if record.partition == partition]


def check_read(reader, broker, topic, records, partition, start=0):
    """`reader` sees exactly `records` in a partition, densely numbered, from `start` on."""
    wanted = list(enumerate(in_partition(records, partition)))[start:]
    read = reader.consume(broker.kafka, topic, partition, start, len(wanted))
    assert read == wanted, f"{reader.name} reads partition {partition} from {start}"


@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "plain"])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_what_is_produced_is_consumed(broker, topic, client, codec, idempotent):
    if idempotent and not client.can_be_idempotent:
        pytest.skip(f"{client.name} has no idempotent producer")
    records = records_of(client)
    client.create(broker.kafka, topic, PARTITIONS)

    told = client.produce(broker.kafka, topic, records, codec, idempotent)

    for partition in range(PARTITIONS):
        offsets = [offset for where, offset in told if where == partition]
        assert offsets == list(range(len(in_partition(records, partition))))
    for partition in range(PARTITIONS):
        check_read(another(client), broker, topic, records, partition)
    if client.can_consume:
        check_read(client, broker, topic, records, partition=0)
        check_read(client, broker, topic, records, partition=1, start=17)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_offsets_are_found_by_time(broker, topic, client):
    records = records_of(client, 30)
    client.create(broker.kafka, topic, PARTITIONS)
    client.produce(broker.kafka, topic, records, "lz4", client.can_be_idempotent)
    in_first = in_partition(records, 0)

    def found(timestamp):
        return client.offset(broker.kafka, topic, 0, timestamp)

    assert found(0) == 0, "before the first"
    assert found(in_first[4].timestamp) == 4, "the time of a record"
    assert found(in_first[4].timestamp + 1) == 5, "between two records of one batch"
    after_all = found(in_first[-1].timestamp + 1)
    if client.name == "kafkajs":  # answers the end of the log itself
        assert after_all in (-1, len(in_first))
    else:
        assert after_all == -1, "after the last"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_deleted_topic_is_gone_and_its_name_is_free(broker, topic, client):
    records = records_of(client, 6)
    client.create(broker.kafka, topic, PARTITIONS)
    client.produce(broker.kafka, topic, records, "none", False)
    client.delete(broker.kafka, topic)

    client.create(broker.kafka, topic, PARTITIONS)
    client.produce(broker.kafka, topic, records[:3], "none", False)

    check = another(client)
    for partition in range(PARTITIONS):
        [(offset, record)] = check.consume(broker.kafka, topic, partition, 0, 1)
        assert (offset, record) == (0, records[partition])


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_topic_is_made_with_configs(broker, topic, client):
    client.create(broker.kafka, topic, 1, retention_ms=123456789, cleanup_policy="delete")

    from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

    admin = AdminClient({"bootstrap.servers": broker.kafka})
    [answer] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    configs = answer.result(30)
    assert configs["retention.ms"].value == "123456789"
    assert not configs["retention.ms"].is_default
