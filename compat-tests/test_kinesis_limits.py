"""`stream.limits=aws`: clients are held to what AWS gives a shard, and told so in AWS's words."""

import time

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from test_kinesis_fan_out import Subscription, register
from test_kinesis_slice import FIRST_SHARD, client, error_of, iterator

THROTTLED = "ProvisionedThroughputExceededException"


def message(stream):
    return f"Rate exceeded for shard {FIRST_SHARD} in stream {stream} under account 000000000000."


@pytest.fixture
def limited(own_broker):
    """Where every stream that does not say otherwise is limited."""
    return own_broker("--set=stream_limits_default=aws").start()


@pytest.fixture
def kinesis(limited):
    return client(limited.aws_endpoint)


def batch(count, size=1):
    return [{"Data": bytes(size), "PartitionKey": "k"} for _ in range(count)]


def test_more_than_a_thousand_records_are_refused_one_by_one_and_taken_later(kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    refused = []
    # However slow this machine is: it is sent faster than a thousand a second, or all are taken.
    for _ in range(40):
        answer = kinesis.put_records(StreamName=topic, Records=batch(500))
        refused += [record for record in answer["Records"] if "ErrorCode" in record]
        assert answer["FailedRecordCount"] == sum("ErrorCode" in record for record in answer["Records"])
    assert refused
    assert all((r["ErrorCode"], r["ErrorMessage"]) == (THROTTLED, message(topic)) for r in refused)
    while "ErrorCode" in kinesis.put_records(StreamName=topic, Records=batch(1))["Records"][0]:
        time.sleep(0.1)


def test_more_than_a_mebibyte_is_refused(kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    answer = kinesis.put_records(StreamName=topic, Records=batch(8, 1_000_000))
    assert "ErrorCode" not in answer["Records"][0] and answer["FailedRecordCount"] >= 1
    error = error_of(lambda: [kinesis.put_record(StreamName=topic, Data=bytes(1_000_000), PartitionKey="k") for _ in range(50)])
    assert (error["Code"], error["Message"]) == (THROTTLED, message(topic))


def test_more_than_five_reads_a_second_are_refused(kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    start = iterator(kinesis, topic)
    error = error_of(lambda: [kinesis.get_records(ShardIterator=start) for _ in range(1000)])
    assert (error["Code"], error["Message"]) == (THROTTLED, message(topic))


def test_a_topics_own_setting_is_followed_and_fan_out_is_paced(limited, kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    admin = AdminClient({"bootstrap.servers": limited.kafka})

    def set_limits(value):
        entry = ConfigEntry("stream.limits", value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for done in admin.incremental_alter_configs([resource]).values():
            done.result(30)

    set_limits("none")
    for _ in range(2):
        assert kinesis.put_records(StreamName=topic, Records=batch(8, 1_000_000))["FailedRecordCount"] == 0
    set_limits("aws")
    began = time.monotonic()
    records, _ = Subscription(limited.aws_endpoint, register(kinesis, topic)).records(16)
    assert len(records) == 16
    # All but the last one have been waited for.
    assert time.monotonic() - began >= 15_000_000 / (2 << 20)
