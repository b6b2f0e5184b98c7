"""What the program shows of itself: metrics that Prometheus understands and that move by exactly
what clients did, health, the version, and log levels that change while it runs."""

import json
import re
import socket
import time
from pathlib import Path

import pytest
from botocore.exceptions import EventStreamError
from confluent_kafka.admin import AdminClient, NewTopic
from crash.load import kinesis

from harness.metrics import Moved, Page, get, send
from harness.wire import Connection, batch

DOCS = Path(__file__).parent.parent / "docs"
UNKNOWN_TOPIC_OR_PARTITION = 3
MESSAGES_IN = "kafka_server_brokertopicmetrics_messagesin_total"
BYTES_IN = "kafka_server_brokertopicmetrics_bytesin_total"
MESSAGES_OUT = "thalweg_topic_messagesout_total"
BYTES_OUT = "kafka_server_brokertopicmetrics_bytesout_total"
REQUESTS = "kafka_network_requestmetrics_requests_total"
ERRORS = "kafka_network_requestmetrics_errors_total"
# As text, Prometheus' types; base units are its rule.
TYPES = {"counter", "gauge", "histogram"}
NO_BASE_UNITS = re.compile(r"_(ms|milliseconds|microseconds|nanoseconds|kb|kib|mb|mib|minutes|percent)(_|$)")


@pytest.fixture
def broker(own_broker):
    broker = own_broker("--cores=2").start()
    yield broker
    assert broker.stop() == 0


def create(broker, topic, partitions=1):
    admin = AdminClient({"bootstrap.servers": broker.kafka})
    admin.create_topics([NewTopic(topic, partitions)])[topic].result(20)
    return admin


def use_everything(broker, topic):
    """So that no family is empty."""
    create(broker, topic)
    with Connection(broker.kafka) as connection:
        assert connection.produce(topic, batch([b"value"])) == (0, 0)
        connection.fetch(topic, 0)
        connection.produce("no-such-topic", batch([b"value"]))
    client = kinesis(broker.aws_endpoint, attempts=1)
    client.list_shards(StreamName=topic)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.list_shards(StreamName="no-such-stream")
    told = client.describe_stream_summary(StreamName=topic)["StreamDescriptionSummary"]
    consumer = {"StreamARN": told["StreamARN"], "ConsumerName": "consumer"}
    arn = client.register_stream_consumer(**consumer)["Consumer"]["ConsumerARN"]
    events = client.subscribe_to_shard(
        ConsumerARN=arn, ShardId="shardId-000000000000", StartingPosition={"Type": "LATEST"}
    )["EventStream"]
    client.deregister_stream_consumer(**consumer)
    with pytest.raises(EventStreamError):
        list(events)


def test_the_page_is_what_prometheus_asks_for(broker, topic):
    use_everything(broker, topic)
    page = Page(broker)

    names = page.names()
    assert len(names) == len(set(names)), "a family stands there once"
    for family in page.families.values():
        assert family.type in TYPES, family.name
        assert family.documentation.endswith("."), family.name
        assert family.samples, family.name
        assert not NO_BASE_UNITS.search(family.name), family.name
    for name in names:
        kind = page.families[name.removesuffix("_total")].type
        assert name.endswith("_total") == (kind == "counter"), name
    places = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in page.samples]
    assert len(places) == len(set(places)), "a sample stands there once"


def test_histograms_rise_to_their_count(broker, topic):
    use_everything(broker, topic)
    page = Page(broker)
    histograms = [family for family in page.families.values() if family.type == "histogram"]
    assert {"thalweg_kafka_request_seconds", "thalweg_journal_write_seconds"} <= {h.name for h in histograms}
    for family in histograms:
        series = {}
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "le"}
            part = series.setdefault(tuple(labels.items()), {"buckets": []})
            if sample.name.endswith("_bucket"):
                part["buckets"].append((float(sample.labels["le"]), sample.value))
            else:
                part[sample.name.removeprefix(family.name)] = sample.value
        for part in series.values():
            bounds, counts = zip(*part["buckets"])
            assert list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf")
            assert list(counts) == sorted(counts) and counts[-1] == part["_count"]
            assert (part["_sum"] > 0) == (part["_count"] > 0)


def test_every_metric_is_documented_and_the_dashboard_asks_for_none_that_is_not_there(broker, topic):
    use_everything(broker, topic)
    shown = {name for name in Page(broker).names() if not name.startswith("process_")}
    page = (DOCS / "OPERATIONS.md").read_text()
    documented = set(re.findall(r"^\| `((?:kafka|thalweg)_\w+)`", page, re.MULTILINE))
    assert documented == shown

    [dashboard] = (DOCS / "grafana").glob("*.json")
    text = json.dumps([panel.get("targets") for panel in json.loads(dashboard.read_text())["panels"]])
    asked = {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"(?:kafka|thalweg|process)_\w+", text)}
    assert asked and asked <= set(Page(broker).names())


def test_records_and_bytes_move_by_what_clients_wrote_and_read(broker, topic):
    create(broker, topic)
    # What topics have not seen yet is not shown: it counts as 0.
    moved = Moved(broker)
    ten = batch([b"value-%d" % n for n in range(10)])
    one = batch([bytes(5000)])
    with Connection(broker.kafka) as connection:
        for data in (ten, one, ten):
            code, _ = connection.produce(topic, data)
            assert code == 0
        assert moved.by(MESSAGES_IN, topic=topic) == 21
        assert moved.by(BYTES_IN, topic=topic) == 2 * len(ten) + len(one)
        assert moved.by(BYTES_OUT, topic=topic) == 0

        assert moved.by("thalweg_reads_total", **{"from": "tail"}) == 0
        # The batch that contains offset 10, and those after it.
        connection.fetch(topic, 10)
        assert moved.by(MESSAGES_OUT, topic=topic) == 11
        assert moved.by(BYTES_OUT, topic=topic) == len(one) + len(ten)
        assert moved.by("thalweg_reads_total", **{"from": "tail"}) == 1
        assert moved.by("thalweg_read_bytes_total", **{"from": "tail"}) == len(one) + len(ten)

    # A restart reads the records again, which is no traffic, and then from segments.
    assert broker.stop() == 0
    broker.start()
    assert Page(broker).value(MESSAGES_IN) == 0
    with Connection(broker.kafka) as connection:
        connection.fetch(topic, 0)
    assert Page(broker).value("thalweg_reads_total", **{"from": "segment"}) == 1
    assert Page(broker).value(MESSAGES_OUT, topic=topic) == 21


def test_requests_errors_and_times_move_by_what_clients_asked(broker, topic):
    create(broker, topic)
    moved = Moved(broker)
    with Connection(broker.kafka) as connection:
        for _ in range(3):
            assert connection.produce(topic, batch([b"value"]))[0] == 0
        code, _ = connection.produce("no-such-topic", batch([b"value"]))
        assert code == UNKNOWN_TOPIC_OR_PARTITION
        assert moved.by("thalweg_kafka_connections_accepted_total") == 1
        # Those of the client that made the topic come and go.
        assert Page(broker).value("thalweg_kafka_connections") >= 1

    assert moved.by(REQUESTS, request="Produce") == 4
    assert moved.by(ERRORS, request="Produce") == 1
    assert moved.by(ERRORS, request="Produce", error="UNKNOWN_TOPIC_OR_PARTITION") == 1
    moved.reaches(4, "thalweg_kafka_request_seconds_count", request="Produce")
    # One at a time, so that each was written by itself.
    assert moved.by("thalweg_journal_write_commands_sum") == 3
    assert moved.by("thalweg_journal_write_seconds_count") == 3
    assert moved.by("thalweg_journal_write_bytes_sum") == 3 * 4096

    with Connection(broker.kafka) as connection:
        connection.socket.sendall(b"\xff" * 16)
        connection.socket.recv(1)
    moved.reaches(1, "thalweg_kafka_connections_closed_for_cause_total")


def test_the_kinesis_door_counts_by_operation_and_its_records_are_the_topic_s(broker, topic):
    create(broker, topic)
    moved = Moved(broker)
    client = kinesis(broker.aws_endpoint, attempts=1)
    for n in range(3):
        client.put_record(StreamName=topic, Data=b"data", PartitionKey=str(n))
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.put_record(StreamName="no-such-stream", Data=b"data", PartitionKey="key")

    assert moved.by("thalweg_aws_requests_total", operation="PutRecord") == 4
    assert moved.by("thalweg_aws_errors_total", operation="PutRecord", error="ResourceNotFoundException") == 1
    assert moved.by("thalweg_aws_request_seconds_count", operation="PutRecord") == 4
    assert moved.by(MESSAGES_IN, topic=topic) == 3
    assert Page(broker).value(REQUESTS, request="Produce") == 0


def test_a_deleted_topic_s_lines_go(broker, topic):
    use_everything(broker, topic)
    assert Page(broker).value(MESSAGES_IN, topic=topic) == 1
    admin = create(broker, f"{topic}-other")
    admin.delete_topics([topic])[topic].result(20)
    assert topic not in Page(broker).text.replace(f"{topic}-other", "")


def test_ready_means_that_the_doors_are_open(own_broker):
    broker = own_broker().start(wait=False)
    deadline = time.monotonic() + 20
    seen = []
    while not seen or seen[-1][0] != 200:
        assert time.monotonic() < deadline, seen
        try:
            seen.append(get(broker, "/readyz"))
        except OSError:
            time.sleep(0.001)
    for address in (broker.kafka, broker.aws):
        host, port = address.rsplit(":", 1)
        socket.create_connection((host, int(port)), timeout=5).close()
    assert seen[-1] == (200, "ready\n")
    assert {answer for answer in seen[:-1]} <= {(503, "not ready: recovering: the journals are being read\n")}
    assert Page(broker).value("thalweg_serving") == 1
    assert Page(broker).value("thalweg_recovery_seconds") > 0
    assert broker.stop() == 0


def test_the_version_is_the_program_s(broker):
    status, body = get(broker, "/version")
    assert status == 200
    version = json.loads(body)
    assert version["name"] == "thalweg"
    assert Page(broker).value("thalweg_build_info", version=version["version"]) == 1


def test_log_levels_change_while_it_runs(broker):
    assert get(broker, "/log-level") == (200, "info\n")
    assert send(broker, "PUT", "/log-level", b"info,kafka=debug") == (200, "info,kafka=debug\n")
    for nonsense in (b"inof", b"info,kafka=loud", b"", b"\xff"):
        status, why = send(broker, "PUT", "/log-level", nonsense)
        assert status == 400 and why, nonsense
    assert get(broker, "/log-level") == (200, "info,kafka=debug\n")

    def says_who_connects(client):
        AdminClient({"bootstrap.servers": broker.kafka, "client.id": client}).list_topics(timeout=20)
        return " DEBUG kafka::" in broker.log()

    assert says_who_connects("one"), broker.log()
    assert send(broker, "PUT", "/log-level", b"off")[0] == 200
    before = broker.log()
    says_who_connects("two")
    assert broker.log() == before


def test_it_can_be_switched_off(own_broker):
    broker = own_broker()
    host, port = broker.admin.rsplit(":", 1)
    broker.admin = "off"
    broker.start()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    assert broker.stop() == 0
