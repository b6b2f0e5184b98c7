"""A stream on demand gets more shards while it is written to, and fewer later, under boto3 and beside Kafka."""

import threading
import time
from collections import defaultdict

import pytest

from harness.metrics import Page
from test_kinesis_resharding import keys_of, open_shards, read_tree, shard_id
from test_kinesis_slice import client, error_of

# Seconds in the place of minutes, and little load: how soon does not matter, only what comes of it.
SETTINGS = {
    "stream_scaling_interval_ms": 100,
    "stream_scaling_window_ms_default": 1000,
    "stream_scaling_cooldown_ms_default": 500,
    "stream_scaling_merge_after_ms_default": 3000,
    "stream_scaling_split_records_per_second_default": 10,
    "stream_scaling_merge_records_per_second_default": 4,
    "stream_scaling_shards_min_default": 2,
    "stream_scaling_shards_max_default": 8,
}
WAIT_S = 120
KEYS = [f"key-{n}" for n in range(32)]
CHANGES = "thalweg_stream_scaling_total"


@pytest.fixture
def scaling(own_broker):
    return own_broker(*[f"--set={name}={value}" for name, value in SETTINGS.items()]).start()


@pytest.fixture
def kinesis(scaling):
    return client(scaling.aws_endpoint)


def create(kinesis, stream, mode="ON_DEMAND", **more):
    kinesis.create_stream(StreamName=stream, StreamModeDetails={"StreamMode": mode}, **more)


def open_count(kinesis, stream):
    return kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["OpenShardCount"]


def reach(kinesis, stream, is_reached):
    """Waits until the number of open shards is as asked for."""
    deadline = time.monotonic() + WAIT_S
    while not is_reached(count := open_count(kinesis, stream)):
        assert time.monotonic() < deadline, f"{count} shards are open"
        time.sleep(0.1)
    return count


class Writers:
    """Put records until they are told to stop: each its own keys, and a key's next record once it has the answer."""

    def __init__(self, endpoint, stream, count=2):
        self.stop = threading.Event()
        self.errors = []
        self.acknowledged = {key: [] for key in KEYS}
        parts = [KEYS[n::count] for n in range(count)]
        self.threads = [threading.Thread(target=self.run, args=(endpoint, stream, part)) for part in parts]

    def run(self, endpoint, stream, keys):
        try:
            kinesis = client(endpoint)
            number = 0
            while not self.stop.is_set():
                records = [{"Data": b"%d" % number, "PartitionKey": key} for key in keys]
                answer = kinesis.put_records(StreamName=stream, Records=records)
                assert answer["FailedRecordCount"] == 0, answer
                for key, record in zip(keys, answer["Records"]):
                    self.acknowledged[key].append((number, int(record["SequenceNumber"])))
                number += 1
                # Hundreds of records a second, so that every shard is hot, and not more than one reads in the end.
                self.stop.wait(0.02)
        except Exception as error:
            self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.errors, self.errors


def test_load_splits_shards_and_cold_ones_are_merged_while_no_record_is_lost_or_out_of_order(
    scaling, kinesis, topic
):
    create(kinesis, topic)
    assert open_count(kinesis, topic) == 4
    with Writers(scaling.aws_endpoint, topic) as writers:
        assert reach(kinesis, topic, lambda count: count == SETTINGS["stream_scaling_shards_max_default"])
        # On all shards that there are now.
        seen = max(len(puts) for puts in writers.acknowledged.values())
        deadline = time.monotonic() + WAIT_S
        while max(len(puts) for puts in writers.acknowledged.values()) < seen + 10 and not writers.errors:
            assert time.monotonic() < deadline, "nothing is written any more"
            time.sleep(0.1)
    reach(kinesis, topic, lambda count: count == SETTINGS["stream_scaling_shards_min_default"])
    last = kinesis.put_record(StreamName=topic, Data=b"last", PartitionKey=KEYS[0])

    # The open shards have all keys, none twice.
    ranges = sorted(keys_of(shard) for shard in open_shards(kinesis, topic))
    assert len(ranges) == 2 and ranges[0][0] == 0 and ranges[-1][1] == 2**128 - 1
    assert ranges[0][1] + 1 == ranges[1][0]

    read = defaultdict(list)
    for shard, records in read_tree(kinesis, topic).items():
        for record in records:
            read[record["PartitionKey"]].append((int(record["SequenceNumber"]), record["Data"]))
    for key, acknowledged in writers.acknowledged.items():
        in_order = sorted(read[key])
        wanted = [b"%d" % number for number, _ in acknowledged]
        if key == KEYS[0]:
            wanted.append(b"last")
            assert in_order[-1] == (int(last["SequenceNumber"]), b"last")
        assert [data for _, data in in_order] == wanted, key

    page = Page(scaling)
    splits, merges = (page.value(CHANGES, change=change) for change in ("split", "merge"))
    assert splits >= 4 and merges >= 6 and splits - merges == -2


def test_a_provisioned_stream_keeps_its_shards_until_it_is_on_demand(scaling, kinesis, topic):
    create(kinesis, topic, "PROVISIONED", ShardCount=2)
    create(kinesis, topic + "-2")
    arn = kinesis.describe_stream_summary(StreamName=topic)["StreamDescriptionSummary"]["StreamARN"]
    with Writers(scaling.aws_endpoint, topic), Writers(scaling.aws_endpoint, topic + "-2"):
        # By the time that one of them is scaled the other would have been too.
        reach(kinesis, topic + "-2", lambda count: count > 4)
        assert open_count(kinesis, topic) == 2
        kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
        reach(kinesis, topic, lambda count: count > 2)


def test_nobody_else_changes_the_shards_of_a_stream_on_demand(kinesis, topic):
    create(kinesis, topic)
    calls = [
        (kinesis.split_shard, {"ShardToSplit": shard_id(0), "NewStartingHashKey": "1000"}),
        (kinesis.merge_shards, {"ShardToMerge": shard_id(0), "AdjacentShardToMerge": shard_id(1)}),
        (kinesis.update_shard_count, {"TargetShardCount": 8, "ScalingType": "UNIFORM_SCALING"}),
    ]
    for call, arguments in calls:
        error = error_of(call, StreamName=topic, **arguments)
        assert error["Code"] == "ValidationException"
        assert "is in On-Demand mode" in error["Message"]


def test_a_restart_keeps_the_shards_and_the_scaling(scaling, kinesis, topic):
    create(kinesis, topic)
    with Writers(scaling.aws_endpoint, topic):
        reach(kinesis, topic, lambda count: count == 8)
    scaling.kill()
    scaling.start()
    kinesis = client(scaling.aws_endpoint)
    before = len({shard["ShardId"] for shard in kinesis.list_shards(StreamName=topic)["Shards"]})
    assert before >= 12
    reach(kinesis, topic, lambda count: count == 2)
