"""What librdkafka's admin client sees and changes of consumer groups, also across a kill of the broker."""

import uuid

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from harness.clients import CONFLUENT
from harness.records import Record

PATIENCE_SECONDS = 60


@pytest.fixture
def quick(own_broker):
    return own_broker("--set=group.initial.rebalance.delay.ms=0").start()


def offsets(admin, group, topic):
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])
    [future] = admin.list_consumer_group_offsets([asked]).values()
    [found] = future.result(PATIENCE_SECONDS).topic_partitions
    return found.offset, found.metadata


def described(admin, group):
    [future] = admin.describe_consumer_groups([group]).values()
    return future.result(PATIENCE_SECONDS)


def test_a_group_is_listed_described_reset_and_deleted(quick, topic):
    group = f"g-{uuid.uuid4().hex[:12]}"
    CONFLUENT.create(quick.kafka, topic, 1)
    records = [Record(0, 1_700_000_000_000 + at, None, str(at).encode(), []) for at in range(20)]
    CONFLUENT.produce(quick.kafka, topic, records)
    admin = AdminClient({"bootstrap.servers": quick.kafka})
    consumer = Consumer(
        {
            "bootstrap.servers": quick.kafka,
            "group.id": group,
            "client.id": "reader",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    read = []
    while len(read) < 20:
        read += consumer.consume(20 - len(read), PATIENCE_SECONDS)
    consumer.commit(
        offsets=[TopicPartition(topic, 0, 12, metadata="half of it")], asynchronous=False
    )

    listed = admin.list_consumer_groups().result(PATIENCE_SECONDS)
    assert not listed.errors
    assert (group, ConsumerGroupState.STABLE) in [(it.group_id, it.state) for it in listed.valid]
    seen = described(admin, group)
    assert (seen.state, seen.partition_assignor) == (ConsumerGroupState.STABLE, "range")
    [member] = seen.members
    assert (member.client_id, member.host) == ("reader", "/127.0.0.1")
    assert member.assignment.topic_partitions == [TopicPartition(topic, 0)]
    assert offsets(admin, group, topic) == (12, "half of it")

    # While a member is in, its offsets and its group stay as they are.
    reset = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 3)])
    [future] = admin.alter_consumer_group_offsets([reset]).values()
    [refused] = future.result(PATIENCE_SECONDS).topic_partitions
    assert refused.error.name() == "UNKNOWN_MEMBER_ID"
    [future] = admin.delete_consumer_groups([group]).values()
    assert future.exception(PATIENCE_SECONDS).args[0].name() == "NON_EMPTY_GROUP"

    consumer.close()
    assert described(admin, group).state == ConsumerGroupState.EMPTY
    [future] = admin.alter_consumer_group_offsets([reset]).values()
    assert future.result(PATIENCE_SECONDS).topic_partitions[0].error is None
    quick.kill()
    quick.start()
    # The old one, of librdkafka, now and then is told its coordinator once more and never asks it (one run in
    # twenty to forty; the broker had answered everything and stood idle).
    admin = AdminClient({"bootstrap.servers": quick.kafka})
    assert offsets(admin, group, topic)[0] == 3
    [future] = admin.delete_consumer_groups([group]).values()
    assert future.exception(PATIENCE_SECONDS) is None
    assert offsets(admin, group, topic)[0] < 0
