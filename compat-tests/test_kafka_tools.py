"""Apache Kafka's own command-line tools: topics, configs, console and verifiable programs, offsets, records,
log directories, transactions. What a tool asks and the broker does not serve is refused, not left to hang.
(Consumer groups: test_kafka_consumer_groups_tool.py.)"""

import json
import os
import re
import time
import uuid

import pytest
from confluent_kafka import Producer

from harness.kafka_programs import Tools

WAIT = 30


@pytest.fixture(scope="module")
def tools(broker):
    tools = Tools(broker.kafka)
    yield tools
    tools.close()


@pytest.fixture
def group():
    return f"g-{uuid.uuid4().hex[:12]}"


def create(tools, topic, partitions, *settings):
    options = [word for setting in settings for word in ("--config", setting)]
    tools.good("kafka-topics", "--create", "--topic", topic, "--partitions", partitions, *options)


def write(tools, topic, lines):
    """Keys and values, as `KEY:VALUE`."""
    keyed = ("--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
    tools.good("kafka-console-producer", "--topic", topic, *keyed, stdin="".join(f"{line}\n" for line in lines))


def described(tools, topic):
    """What kafka-topics tells of a topic: the topic's fields, and each partition's."""
    lines = tools.good("kafka-topics", "--describe", "--topic", topic).out.splitlines()
    pairs = [[field.partition(":") for field in line.strip().split("\t")] for line in lines]
    [whole, *partitions] = [{name: value.strip() for name, _, value in line} for line in pairs]
    return whole, partitions


def offsets(tools, topic, *when):
    """What kafka-get-offsets tells: an offset per partition."""
    lines = tools.good("kafka-get-offsets", "--topic", topic, *when).out.splitlines()
    return [int(line.rsplit(":", 1)[1]) for line in lines if line.startswith(f"{topic}:")]


def events(done):
    """What the verifiable programs say: JSON, a line per event."""
    return [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]


def test_kafka_topics_makes_lists_describes_grows_and_deletes_a_topic(tools, topic):
    create(tools, topic, 2, "retention.ms=3600000")
    again = tools.run("kafka-topics", "--create", "--topic", topic)
    assert again.code == 1 and "already exists" in again.out, again
    assert topic in tools.good("kafka-topics", "--list").out.splitlines()

    whole, partitions = described(tools, topic)
    assert (whole["Topic"], whole["PartitionCount"], whole["ReplicationFactor"]) == (topic, "2", "1")
    assert "retention.ms=3600000" in whole["Configs"].split(",")
    places = [[partition[name] for name in ("Partition", "Leader", "Replicas", "Isr")] for partition in partitions]
    assert places == [["0", "1", "1", "1"], ["1", "1", "1", "1"]]
    assert topic not in tools.good("kafka-topics", "--describe", "--unavailable-partitions").out

    tools.good("kafka-topics", "--alter", "--topic", topic, "--partitions", 4)
    assert described(tools, topic)[0]["PartitionCount"] == "4"
    fewer = tools.run("kafka-topics", "--alter", "--topic", topic, "--partitions", 3)
    assert fewer.code == 1 and "4 partition" in fewer.out, fewer

    tools.good("kafka-topics", "--delete", "--topic", topic)
    assert topic not in tools.good("kafka-topics", "--list").out.splitlines()
    gone = tools.run("kafka-topics", "--describe", "--topic", topic)
    assert gone.code == 1 and "does not exist" in gone.err, gone


def test_kafka_configs_shows_and_alters_settings(tools, topic):
    create(tools, topic, 1)
    whose = ("--entity-type", "topics", "--entity-name", topic)
    wanted = "retention.ms=1000,cleanup.policy=[compact,delete]"
    tools.good("kafka-configs", *whose, "--alter", "--add-config", wanted)
    shown = tools.good("kafka-configs", *whose, "--describe").out
    dynamic = r"synonyms=\{DYNAMIC_TOPIC_CONFIG:retention\.ms=1000"
    assert re.search(rf"^ +retention\.ms=1000 sensitive=false {dynamic}", shown, re.MULTILINE), shown
    assert "cleanup.policy=compact,delete" in shown

    tools.good("kafka-configs", *whose, "--alter", "--delete-config", "retention.ms")
    shown = tools.good("kafka-configs", *whose, "--describe").out
    assert "retention.ms" not in shown and "cleanup.policy=compact,delete" in shown
    everything = tools.good("kafka-configs", *whose, "--describe", "--all").out
    assert "retention.ms=604800000" in everything and "segment.bytes=1073741824" in everything

    wrong = tools.run("kafka-configs", *whose, "--alter", "--add-config", "retention.ms=soon")
    assert wrong.code == 1 and "retention.ms" in wrong.out + wrong.err, wrong
    one = ("--entity-type", "brokers", "--entity-name", "1")
    assert "auto.create.topics.enable=true" in tools.good("kafka-configs", *one, "--describe", "--all").out


def test_what_the_console_producer_writes_the_console_consumer_reads_once_in_a_group(tools, topic, group):
    create(tools, topic, 2)
    # The second time, the group goes on by the other protocol.
    for first, protocol in ((0, "classic"), (50, "consumer")):
        lines = [f"key-{at}:value {at}" for at in range(first, first + 50)]
        write(tools, topic, lines)
        options = ["--group", group, "--from-beginning", "--max-messages", 50, "--timeout-ms", 30_000]
        options += ["--formatter-property", "print.key=true", "--formatter-property", "key.separator=:"]
        options += ["--command-property", f"group.protocol={protocol}"]
        read = tools.good("kafka-console-consumer", "--topic", topic, *options).out.splitlines()
        assert sorted(read) == sorted(lines)


def test_what_the_verifiable_producer_writes_the_verifiable_consumer_reads(tools, topic, group):
    create(tools, topic, 3)
    written = events(tools.alone("kafka-verifiable-producer", "--topic", topic, "--max-messages", 1000))
    acknowledged = {
        (event["partition"], event["offset"], event["value"])
        for event in written
        if event["name"] == "producer_send_success"
    }
    assert {value for *_, value in acknowledged} == {str(at) for at in range(1000)}
    [told] = [event for event in written if event["name"] == "tool_data"]
    assert (told["sent"], told["acked"]) == (1000, 1000)

    for protocol in ("classic", "consumer"):
        whose = ["--group-id", f"{group}-{protocol}", "--group-protocol", protocol]
        options = [*whose, "--max-messages", 1000, "--verbose"]
        read = events(tools.alone("kafka-verifiable-consumer", "--topic", topic, *options))
        records = [event for event in read if event["name"] == "record_data"]
        assert len(records) == 1000
        assert {(event["partition"], event["offset"], event["value"]) for event in records} == acknowledged
        commits = [event for event in read if event["name"] == "offsets_committed"]
        assert commits and all(event["success"] for event in commits)
        last = {offset["partition"]: offset["offset"] for event in commits for offset in event["offsets"]}
        assert sum(last.values()) == 1000
        assert "shutdown_complete" in [event["name"] for event in read]


def test_kafka_delete_records_moves_what_kafka_get_offsets_tells(tools, topic, tmp_path):
    create(tools, topic, 2)
    write(tools, topic, [f"{at}:value" for at in range(20)])
    ends = offsets(tools, topic)
    assert sum(ends) == 20 and offsets(tools, topic, "--time", "earliest") == [0, 0]
    most = offsets(tools, topic, "--time", "max-timestamp")
    assert all(0 <= at < end for at, end in zip(most, ends)), most

    plan = tmp_path / "offsets.json"
    wanted = [{"topic": topic, "partition": 0, "offset": 4}, {"topic": topic, "partition": 1, "offset": -1}]
    plan.write_text(json.dumps({"version": 1, "partitions": wanted}))
    done = tools.good("kafka-delete-records", "--offset-json-file", plan)
    marks = dict(re.findall(rf"{topic}-(\d)\s+low_watermark: (\d+)", done.out))
    assert marks == {"0": "4", "1": str(ends[1])}, done
    assert offsets(tools, topic, "--time", "earliest") == [4, ends[1]]
    assert offsets(tools, topic) == ends


def test_kafka_log_dirs_tells_what_a_topic_takes(tools, topic):
    create(tools, topic, 2)
    write(tools, topic, [f"{at}:value" for at in range(20)])
    out = tools.good("kafka-log-dirs", "--describe", "--topic-list", topic).out
    [told] = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    [directory] = [directory for broker in told["brokers"] for directory in broker["logDirs"]]
    assert directory["error"] is None
    sizes = {partition["partition"]: partition["size"] for partition in directory["partitions"]}
    assert set(sizes) == {f"{topic}-0", f"{topic}-1"} and all(size > 0 for size in sizes.values())


def test_kafka_broker_api_versions_and_kafka_features_tell_what_is_there(tools):
    out = tools.good("kafka-broker-api-versions").out
    assert "Fetch(1): 4 to 18 [usable: 18]" in out and "Produce(0): 0 to 13 [usable: 13]" in out
    assert "ConsumerGroupHeartbeat(68): 0 to 1 [usable: 1]" in out and "ERROR" not in out
    lines = tools.good("kafka-features", "describe").out.splitlines()
    levels = dict(re.findall(r"Feature: (\S+).*FinalizedVersionLevel: (\S+)", "\n".join(lines)))
    assert levels["transaction.version"] == "2" and "-IV" in levels["metadata.version"]


def test_kafka_transactions_lists_and_describes(tools, broker, topic):
    create(tools, topic, 1)
    name = f"tx-{topic}"
    writer = Producer({"bootstrap.servers": broker.kafka, "transactional.id": name})
    writer.init_transactions(WAIT)
    writer.begin_transaction()
    writer.produce(topic, b"open", partition=0)
    writer.flush(WAIT)

    def state():
        [told] = tools.good("kafka-transactions", "describe", "--transactional-id", name).rows("CoordinatorId")
        return told

    listed = tools.good("kafka-transactions", "list").rows("TransactionalId")
    [mine] = [row for row in listed if row["TransactionalId"] == name]
    assert mine["TransactionState"] == "Ongoing"
    told = state()
    assert (told["TransactionState"], told["TopicPartitions"]) == ("Ongoing", f"{topic}-0")
    where = ("--topic", topic, "--partition", 0)
    [at_work] = tools.good("kafka-transactions", "describe-producers", *where).rows("ProducerId")
    assert at_work["ProducerId"] == mine["ProducerId"] == told["ProducerId"]
    assert at_work["CurrentTransactionStartOffset"] == "0"
    # What its coordinator knows of does not hang.
    hanging = tools.good("kafka-transactions", "find-hanging", "--broker-id", 1, "--max-transaction-timeout", 0)
    assert topic not in hanging.out, hanging

    writer.commit_transaction(WAIT)
    # Apache Kafka tells that it is committed before it has written the markers.
    deadline = time.monotonic() + WAIT
    while (told := state())["TransactionState"] != "CompleteCommit":
        assert told["TransactionState"] == "PrepareCommit" and time.monotonic() < deadline, told
    [idle] = tools.good("kafka-transactions", "describe-producers", *where).rows("ProducerId")
    assert idle["CurrentTransactionStartOffset"] == "None"
    unknown = tools.run("kafka-transactions", "describe", "--transactional-id", f"no-{name}")
    assert unknown.code == 1, unknown


REFUSED = [
    ("kafka-acls", "--list"),
    ("kafka-configs", "--entity-type", "users", "--describe"),
    ("kafka-configs", "--entity-type", "client-metrics", "--describe"),
    ("kafka-features", "upgrade", "--feature", "transaction.version=1"),
    ("kafka-leader-election", "--election-type", "preferred", "--all-topic-partitions"),
    ("kafka-metadata-quorum", "describe", "--status"),
    ("kafka-reassign-partitions", "--list"),
]


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_what_is_not_served_is_refused_by_name(tools, command):
    if os.environ.get("THALWEG_KAFKA_IS_FOREIGN"):
        pytest.skip("others serve more")
    done = tools.run(*command)
    assert "not support" in done.out + done.err, done
