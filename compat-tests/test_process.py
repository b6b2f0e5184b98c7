"""The program itself: starting, stopping, refusing."""

import json
import signal
import subprocess

from confluent_kafka import Consumer

from harness.clients import CONFLUENT
from harness.records import Record


def records_of(topic_time_ms=1_900_000_000_000, count=50):
    return [Record(0, topic_time_ms + i, b"key-%d" % i, b"value-%d" % i, []) for i in range(count)]


def test_it_says_where_it_listens_where_its_data_is_and_how_long_recovery_took(own_broker):
    broker = own_broker("--log-format=json").start()
    assert broker.stop() == 0

    lines = [json.loads(line) for line in broker.log().splitlines()]
    text = broker.log()
    assert broker.kafka in text and broker.aws in text and str(broker.data_dir) in text
    [recovered] = [line for line in lines if line["message"] == "recovered"]
    assert recovered["milliseconds"] < 10_000


def test_what_was_acknowledged_survives_a_clean_stop_and_a_kill(own_broker, topic):
    broker = own_broker().start()
    records = records_of()
    CONFLUENT.create(broker.kafka, topic, 1, message_timestamp_after_max_ms=9223372036854775807)
    for end in (broker.stop, broker.kill):
        CONFLUENT.produce(broker.kafka, topic, records)
        end()
        broker.start()
    read = CONFLUENT.consume(broker.kafka, topic, 0, 0, 2 * len(records))
    assert read == list(enumerate(records + records))
    assert broker.stop() == 0


def test_it_stops_while_members_wait_for_others_to_join(own_broker, topic):
    """Groups on every core, each with a member whose JoinGroup is not answered for a long time."""
    broker = own_broker("--cores=2", "--set=group.initial.rebalance.delay.ms=60000").start()
    CONFLUENT.create(broker.kafka, topic, 1)
    options = {"bootstrap.servers": broker.kafka, "log_level": 0}
    members = [Consumer({**options, "group.id": f"{topic}-{number}"}) for number in range(6)]
    for member in members:
        member.subscribe([topic])
    for _ in range(10):
        for member in members:
            member.poll(0.05)
    assert broker.stop() == 0, broker.log()


def test_ctrl_c_stops_it_too(own_broker):
    broker = own_broker().start()
    broker.process.send_signal(signal.SIGINT)
    assert broker.process.wait(20) == 0


def test_a_second_broker_on_the_same_data_is_refused(own_broker, tmp_path):
    first = own_broker().start()
    second = own_broker(data_dir=first.data_dir)
    done = subprocess.run(second.command(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "in use by another thalweg" in done.stderr and str(first.data_dir) in done.stderr
    assert first.stop() == 0


def test_a_taken_port_is_an_error_that_names_it(own_broker, tmp_path):
    first = own_broker().start()
    listening = {"--kafka-listen": first.kafka, "--aws-listen": first.aws, "--admin-listen": first.admin}
    for flag, address in listening.items():
        second = own_broker(f"{flag}={address}", data_dir=tmp_path / "other")
        command = [one for one in second.command() if not one.startswith(flag)] + [f"{flag}={address}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert done.returncode == 1
        assert address in done.stderr and flag in done.stderr


def test_data_of_an_unknown_format_is_refused_and_left_alone(own_broker):
    broker = own_broker().start()
    assert broker.stop() == 0
    meta_path = broker.data_dir / "meta.json"
    meta = json.loads(meta_path.read_text())
    meta["format_version"] = 999
    meta_path.write_text(json.dumps(meta))

    done = subprocess.run(broker.command(), capture_output=True, text=True, timeout=20)

    assert done.returncode == 1
    assert "999" in done.stderr and str(meta_path) in done.stderr
    assert json.loads(meta_path.read_text()) == meta


def test_the_number_of_cores_may_change(own_broker, topic):
    broker = own_broker("--cores=2").start()
    records = records_of()
    CONFLUENT.create(broker.kafka, topic, 5, message_timestamp_after_max_ms=9223372036854775807)
    spread = [Record(i % 5, r.timestamp, r.key, r.value, []) for i, r in enumerate(records)]
    CONFLUENT.produce(broker.kafka, topic, spread)
    broker.kill()
    for cores in (1, 3, 2):
        broker.arguments = (f"--cores={cores}",)
        broker.start()
        for partition in range(5):
            wanted = list(enumerate(record for record in spread if record.partition == partition))
            assert CONFLUENT.consume(broker.kafka, topic, partition, 0, len(wanted)) == wanted
        assert broker.stop() == 0


def test_a_wrong_setting_is_refused_with_its_name(own_broker):
    for flag, named in [
        ("--set=num.partitions=none", "num.partitions"),
        ("--set=no.such.setting=1", "no.such.setting"),
        ("--cores=0", "cores"),
        ("--advertised-address=nowhere", "advertised-address"),
    ]:
        broker = own_broker(flag)
        done = subprocess.run(broker.command(), capture_output=True, text=True, timeout=20)
        assert done.returncode != 0 and named in done.stderr, done.stderr
