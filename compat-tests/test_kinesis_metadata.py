"""What a stream is told besides records, by boto3: settings, tags, consumers, policies, the account. All of it is
there after a kill."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource

from test_kinesis_slice import client, error_of, iterator, read_all

ACCOUNT = "000000000000"


@pytest.fixture
def kinesis(broker):
    return client(broker.aws_endpoint)


@pytest.fixture
def stream(kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=3)
    return topic


def arn_of(stream):
    return f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{stream}"


def summary(kinesis, stream):
    return kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]


def tags_of(kinesis, arn):
    return {tag["Key"]: tag["Value"] for tag in kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"]}


def setting(broker, topic, name):
    admin = AdminClient({"bootstrap.servers": broker.kafka})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    return admin.describe_configs([resource])[resource].result()[name].value


def test_describe_stream_pages_over_shards(kinesis, stream):
    first = kinesis.describe_stream(StreamName=stream, Limit=2)["StreamDescription"]
    assert [shard["ShardId"] for shard in first["Shards"]] == ["shardId-000000000000", "shardId-000000000001"]
    assert first["HasMoreShards"] is True
    assert (first["StreamStatus"], first["EncryptionType"]) == ("ACTIVE", "NONE")
    assert first["RetentionPeriodHours"] == 24
    rest = kinesis.describe_stream(
        StreamARN=arn_of(stream), ExclusiveStartShardId="shardId-000000000001"
    )["StreamDescription"]
    assert [shard["ShardId"] for shard in rest["Shards"]] == ["shardId-000000000002"]
    assert rest["HasMoreShards"] is False
    pages = kinesis.get_paginator("describe_stream").paginate(StreamName=stream, PaginationConfig={"PageSize": 1})
    assert len([shard for page in pages for shard in page["StreamDescription"]["Shards"]]) == 3


def test_the_retention_period_is_the_topics_and_has_awss_bounds(kinesis, broker, stream):
    kinesis.increase_stream_retention_period(StreamName=stream, RetentionPeriodHours=48)
    assert summary(kinesis, stream)["RetentionPeriodHours"] == 48
    assert setting(broker, stream, "retention.ms") == str(48 * 3_600_000)
    kinesis.decrease_stream_retention_period(StreamARN=arn_of(stream), RetentionPeriodHours=30)
    assert summary(kinesis, stream)["RetentionPeriodHours"] == 30

    for call, hours, message in [
        (
            kinesis.increase_stream_retention_period,
            23,
            "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.",
        ),
        (
            kinesis.increase_stream_retention_period,
            8761,
            "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.",
        ),
        (
            kinesis.increase_stream_retention_period,
            25,
            f"Requested retention period (25 hours) for stream {stream} can not be shorter than existing retention "
            "period (30 hours). Use DecreaseRetentionPeriod API.",
        ),
        (
            kinesis.decrease_stream_retention_period,
            31,
            f"Requested retention period (31 hours) for stream {stream} can not be longer than existing retention "
            "period (30 hours). Use IncreaseRetentionPeriod API.",
        ),
    ]:
        error = error_of(call, StreamName=stream, RetentionPeriodHours=hours)
        assert (error["Code"], error["Message"]) == ("InvalidArgumentException", message)


def test_tags_of_both_families_are_the_same_tags(kinesis, topic):
    kinesis.create_stream(StreamName=topic, ShardCount=1, Tags={"team": "a"})
    arn = arn_of(topic)
    kinesis.add_tags_to_stream(StreamName=topic, Tags={"ü0 _.": "x", "team": "b"})
    kinesis.tag_resource(ResourceARN=arn, Tags={"cost/center": "7"})
    assert tags_of(kinesis, arn) == {"team": "b", "ü0 _.": "x", "cost/center": "7"}

    page = kinesis.list_tags_for_stream(StreamName=topic, Limit=2)
    assert ([tag["Key"] for tag in page["Tags"]], page["HasMoreTags"]) == (["cost/center", "team"], True)
    page = kinesis.list_tags_for_stream(StreamName=topic, ExclusiveStartTagKey="team")
    assert ([tag["Key"] for tag in page["Tags"]], page["HasMoreTags"]) == (["ü0 _."], False)

    kinesis.remove_tags_from_stream(StreamName=topic, TagKeys=["team", "never there"])
    kinesis.untag_resource(ResourceARN=arn, TagKeys=["ü0 _."])
    assert tags_of(kinesis, arn) == {"cost/center": "7"}

    many = {f"k{n}": "" for n in range(50)}
    error = error_of(kinesis.add_tags_to_stream, StreamName=topic, Tags=many)
    assert (error["Code"], error["Message"]) == (
        "InvalidArgumentException",
        f"Failed to add tags to stream {topic} under account {ACCOUNT} because a given stream cannot have more than "
        "50 tags associated with it.",
    )
    error = error_of(kinesis.tag_resource, ResourceARN=arn, Tags={"a;b": ""})
    assert error["Message"].startswith("Some tags contain invalid characters.")
    error = error_of(kinesis.tag_resource, ResourceARN=arn, Tags={"k" * 129: ""})
    assert "Map keys must satisfy constraint: [Member must have length less than or equal to 128" in error["Message"]
    queue = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:queue/x"
    assert error_of(kinesis.list_tags_for_resource, ResourceARN=queue)["Code"] == "ResourceNotFoundException"


def test_consumers_are_registered_described_listed_tagged_and_deregistered(kinesis, stream):
    arn = arn_of(stream)
    made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c0", Tags={"a": "1"})["Consumer"]
    created = made["ConsumerCreationTimestamp"]
    assert made["ConsumerARN"] == f"{arn}/consumer/c0:{int(created.timestamp())}"
    assert made["ConsumerStatus"] == "ACTIVE"
    assert timedelta(0) <= datetime.now(timezone.utc) - created < timedelta(minutes=1)
    for named in [{"ConsumerARN": made["ConsumerARN"]}, {"StreamARN": arn, "ConsumerName": "c0"}]:
        told = kinesis.describe_stream_consumer(**named)["ConsumerDescription"]
        assert told == {**made, "StreamARN": arn}
    assert tags_of(kinesis, made["ConsumerARN"]) == {"a": "1"}
    kinesis.tag_resource(ResourceARN=made["ConsumerARN"], Tags={"b": "2"})
    assert tags_of(kinesis, made["ConsumerARN"]) == {"a": "1", "b": "2"}
    assert tags_of(kinesis, arn) == {}

    error = error_of(kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="c0")
    assert error["Code"] == "ResourceInUseException"
    for n in range(1, 20):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"c{n}")
    error = error_of(kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="c20")
    assert error["Code"] == "LimitExceededException"
    assert summary(kinesis, stream)["ConsumerCount"] == 20
    first = kinesis.list_stream_consumers(StreamARN=arn, MaxResults=15)
    second = kinesis.list_stream_consumers(StreamARN=arn, MaxResults=15, NextToken=first["NextToken"])
    names = [consumer["ConsumerName"] for page in (first, second) for consumer in page["Consumers"]]
    assert names == sorted(f"c{n}" for n in range(20)) and "NextToken" not in second

    assert error_of(kinesis.delete_stream, StreamName=stream)["Code"] == "ResourceInUseException"
    kinesis.deregister_stream_consumer(ConsumerARN=made["ConsumerARN"])
    error = error_of(kinesis.describe_stream_consumer, ConsumerARN=made["ConsumerARN"])
    assert (error["Code"], error["Message"]) == (
        "ResourceNotFoundException",
        f"Consumer c0, account {ACCOUNT} not found.",
    )
    assert error_of(kinesis.deregister_stream_consumer)["Code"] == "InvalidArgumentException"
    kinesis.delete_stream(StreamName=stream, EnforceConsumerDeletion=True)


def test_a_policy_is_kept_shown_and_deleted(kinesis, stream):
    arn = arn_of(stream)
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    for resource in (arn, consumer):
        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == "{}"
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": resource}]})
        kinesis.put_resource_policy(ResourceARN=resource, Policy=policy)
        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == policy
        kinesis.delete_resource_policy(ResourceARN=resource)
        error = error_of(kinesis.delete_resource_policy, ResourceARN=resource)
        assert (error["Code"], error["Message"]) == (
            "ResourceNotFoundException",
            f"No resource policy found for resource ARN {resource}.",
        )
    error = error_of(kinesis.put_resource_policy, ResourceARN=arn, Policy="no json")
    assert error["Code"] == "InvalidArgumentException"


def test_enhanced_monitoring_is_noted(kinesis, stream):
    on = kinesis.enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["IncomingBytes"])
    assert (on["CurrentShardLevelMetrics"], on["DesiredShardLevelMetrics"]) == ([], ["IncomingBytes"])
    everything = kinesis.enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["ALL"])
    assert len(everything["DesiredShardLevelMetrics"]) == 7 and "ALL" not in everything["DesiredShardLevelMetrics"]
    assert len(summary(kinesis, stream)["EnhancedMonitoring"][0]["ShardLevelMetrics"]) == 7
    off = kinesis.disable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["ALL"])
    assert off["DesiredShardLevelMetrics"] == []
    error = error_of(kinesis.enable_enhanced_monitoring, StreamName=stream, ShardLevelMetrics=["Nonsense"])
    assert error["Code"] == "ValidationException"


def test_the_greatest_record_is_the_topics(kinesis, stream):
    kinesis.update_max_record_size(StreamARN=arn_of(stream), MaxRecordSizeInKiB=10_240)
    assert summary(kinesis, stream)["MaxRecordSizeInKiB"] == 10_240
    data = b"x" * ((10 << 20) - 1)
    put = kinesis.put_record(StreamName=stream, Data=data, PartitionKey="k")
    records, _ = read_all(kinesis, iterator(kinesis, stream, shard=put["ShardId"]))
    assert [record["Data"] for record in records] == [data]


def test_an_on_demand_stream_may_spread_its_puts_and_have_a_warm_throughput(own_broker, topic):
    kinesis = client(own_broker().start().aws_endpoint)
    kinesis.create_stream(StreamName=topic, ShardCount=2)
    arn = arn_of(topic)
    auto = {"StreamARN": arn, "RecordDistributionStrategy": "AUTO"}
    assert error_of(kinesis.update_stream_record_distribution_strategy, **auto)["Code"] == "InvalidArgumentException"
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    error = error_of(kinesis.put_record, StreamName=topic, Data=b"")
    assert (error["Code"], "Value null at 'partitionKey'" in error["Message"]) == ("ValidationException", True)
    kinesis.update_stream_record_distribution_strategy(**auto)
    told = summary(kinesis, topic)
    assert told["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert told["RecordDistributionStrategy"] == "AUTO"
    shards = [kinesis.put_record(StreamName=topic, Data=b"%d" % n)["ShardId"] for n in range(10)]
    assert {shards.count(shard) for shard in shards} == {5}

    warm = {"StreamARN": arn, "WarmThroughputMiBps": 7}
    assert "MinimumThroughputBillingCommitment" in error_of(kinesis.update_stream_warm_throughput, **warm)["Message"]
    account = kinesis.describe_account_settings()["MinimumThroughputBillingCommitment"]
    assert account == {"Status": "DISABLED"}
    account = kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    assert account["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED"
    told = kinesis.update_stream_warm_throughput(**warm)
    assert told["WarmThroughput"] == {"TargetMiBps": 7, "CurrentMiBps": 7}
    assert summary(kinesis, topic)["WarmThroughput"] == {"TargetMiBps": 7, "CurrentMiBps": 7}


def test_limits_count_the_shards(own_broker, topic):
    kinesis = client(own_broker().start().aws_endpoint)
    kinesis.create_stream(StreamName=topic, ShardCount=3)
    kinesis.create_stream(StreamName=topic + "-2", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    limits = kinesis.describe_limits()
    assert (limits["OpenShardCount"], limits["OnDemandStreamCount"]) == (7, 1)
    assert limits["ShardLimit"] >= 7


def test_what_a_stream_was_told_survives_kill_9(own_broker, topic):
    broker = own_broker().start()
    kinesis = client(broker.aws_endpoint)
    kinesis.create_stream(StreamName=topic, ShardCount=1, Tags={"a": "1"})
    arn = arn_of(topic)
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]
    kinesis.put_resource_policy(ResourceARN=arn, Policy='{"a":1}')
    kinesis.increase_stream_retention_period(StreamName=topic, RetentionPeriodHours=100)
    kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})

    broker.kill()
    broker.start()

    assert tags_of(kinesis, arn) == {"a": "1"}
    told = kinesis.describe_stream_consumer(ConsumerARN=consumer["ConsumerARN"])["ConsumerDescription"]
    assert told == {**consumer, "StreamARN": arn}
    assert kinesis.get_resource_policy(ResourceARN=arn)["Policy"] == '{"a":1}'
    assert summary(kinesis, topic)["RetentionPeriodHours"] == 100
    account = kinesis.describe_account_settings()["MinimumThroughputBillingCommitment"]
    assert account["Status"] == "ENABLED"
