"""Splits and merges a stream's shards while the broker is killed, and holds what the shards are afterwards against
what was promised; reads the stream as a KCL does, parents before children."""

import hashlib
import random
import threading
import time

from botocore.exceptions import BotoCoreError, ClientError

from crash.load import kinesis

OPEN_SHARDS_MAX = 6
KEYS = 2**128


def shards_of(client, stream):
    shards, token = [], None
    while True:
        page = {"NextToken": token} if token else {"StreamName": stream}
        answer = client.list_shards(**page)
        shards += answer["Shards"]
        token = answer.get("NextToken")
        if not token:
            return shards


def is_open(shard):
    return "EndingSequenceNumber" not in shard["SequenceNumberRange"]


def keys_of(shard):
    return tuple(int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))


def parents_of(shard):
    return {shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard}


def check_lineage(shards):
    """The open shards divide the hash keys; a closed shard's keys are its children's, or a part of its child's."""
    ranges = sorted(keys_of(shard) for shard in shards if is_open(shard))
    starts, ends = [start for start, _ in ranges], [end + 1 for _, end in ranges]
    assert starts[0] == 0 and ends[-1] == KEYS and starts[1:] == ends[:-1], f"a gap or an overlap: {ranges}"
    by_name = {shard["ShardId"]: shard for shard in shards}
    for name, shard in by_name.items():
        assert parents_of(shard) <= by_name.keys(), f"{name} has a parent that is not there"
        children = sorted(keys_of(child) for child in shards if name in parents_of(child))
        if is_open(shard):
            assert not children, f"{name} is open, and has children"
            continue
        start, end = keys_of(shard)
        assert children and children[0][0] <= start and end <= children[-1][1], f"the children of {name}: {children}"
        assert len(children) == 1 or children[0][1] + 1 == children[1][0], f"the children of {name}: {children}"


class Resharder:
    """Changes the shards when it is told to, one call at a time, never repeated. A confirmed change is there for
    good; one whose answer was lost is there wholly or not at all."""

    def __init__(self, endpoint, stream, seed):
        self.endpoint, self.stream = endpoint, stream
        self.random = random.Random(seed)
        # The shards as they were after the last confirmed change, by name.
        self.promised = {}
        self.confirmed = 0
        self.problems = []
        self._go = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()

    def go(self):
        """Makes a change or a few soon."""
        self._go.set()

    def finish(self):
        self._stop.set()
        self._go.set()
        self._thread.join(60)

    def check(self, shards, promised):
        """What was promised is there, as it was."""
        check_lineage(shards)
        now = {shard["ShardId"]: shard for shard in shards}
        for name, was in promised.items():
            assert name in now, f"{self.stream}: {name} was confirmed, and is gone"
            # An open shard may have been closed since.
            same = ["HashKeyRange"] if is_open(was) else list(was)
            assert {key: now[name][key] for key in same} == {key: was[key] for key in same}, f"{name} has changed"
            assert parents_of(now[name]) == parents_of(was), f"{name} has other parents"

    def _run(self):
        client = kinesis(self.endpoint, attempts=1)
        while not self._stop.is_set():
            self._go.wait()
            self._go.clear()
            for _ in range(self.random.randint(1, 3)):
                time.sleep(self.random.uniform(0, 0.15))
                try:
                    self._change(client)
                except BotoCoreError:  # the connection broke, or there was none
                    break
                except ClientError as error:
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                        self.problems.append(f"resharding: {error}")
                    break

    def _change(self, client):
        shards = sorted(filter(is_open, shards_of(client, self.stream)), key=keys_of)
        kind = self.random.choice(["split", "split", "merge", "merge", "count"])
        if kind == "split" and len(shards) < OPEN_SHARDS_MAX:
            shard = self.random.choice(shards)
            start, end = keys_of(shard)
            at = str(self.random.randint(start + 2, end - 1))
            client.split_shard(StreamName=self.stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=at)
        elif kind == "merge" and len(shards) > 1:
            place = self.random.randrange(len(shards) - 1)
            pair = [shard["ShardId"] for shard in shards[place : place + 2]]
            self.random.shuffle(pair)
            client.merge_shards(StreamName=self.stream, ShardToMerge=pair[0], AdjacentShardToMerge=pair[1])
        elif kind == "count":
            target = self.random.randint((len(shards) + 1) // 2, min(2 * len(shards), OPEN_SHARDS_MAX))
            client.update_shard_count(
                StreamName=self.stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING"
            )
        else:
            return
        self.confirmed += 1
        self.promised = {shard["ShardId"]: shard for shard in shards_of(client, self.stream)}


class TreeCheck:
    """Through the Kinesis door: every acknowledged record once, in the shard and under the number that was told, in a
    shard that owns its key; a key's records rise from parents to children. Reads on from where it stopped, as
    StreamCheck does."""

    def __init__(self, stream):
        self.stream = stream
        self._after = {}  # shard: the last sequence number
        self._ended = set()
        self._found = {}  # number: (shard, sequence number)
        self._last = {}  # key: (number, sequence number)

    def check(self, client, acknowledged):
        shards = {shard["ShardId"]: shard for shard in shards_of(client, self.stream)}
        left = [name for name in shards if name not in self._ended]
        while ready := [name for name in left if parents_of(shards[name]) <= self._ended]:
            for name in ready:
                self._read_on(client, shards[name])
                left.remove(name)
        assert not left, f"{self.stream}: {left} have parents without an end"
        for number, told in acknowledged.items():
            assert self._found.get(number) == told, f"{self.stream}: record {number} was acknowledged as {told}"

    def _read_on(self, client, shard):
        name, (start, end) = shard["ShardId"], keys_of(shard)
        where = {"ShardIteratorType": "TRIM_HORIZON"}
        if name in self._after:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": self._after[name]}
        iterator = client.get_shard_iterator(StreamName=self.stream, ShardId=name, **where)["ShardIterator"]
        while iterator:
            answer = client.get_records(ShardIterator=iterator, Limit=10_000)
            for record in answer["Records"]:
                self._take(name, record)
                hashed = int.from_bytes(hashlib.md5(record["PartitionKey"].encode()).digest(), "big")
                assert start <= hashed <= end, f"{record['PartitionKey']} lies in {name}, which does not own it"
            iterator = answer.get("NextShardIterator")
            if not answer["Records"] and answer["MillisBehindLatest"] == 0:
                break
        if not iterator:
            assert not is_open(shard) or answer["ChildShards"], f"{name} came to its end, and has no children"
            self._ended.add(name)

    def _take(self, shard, record):
        number, sequence, key = int(record["Data"]), record["SequenceNumber"], record["PartitionKey"]
        assert number not in self._found, f"{self.stream}: record {number} in {shard} and {self._found[number]}"
        self._found[number] = (shard, sequence)
        self._after[shard] = sequence
        is_, was = (number, int(sequence)), self._last.get(key, (-1, -1))
        assert is_[0] > was[0] and is_[1] > was[1], f"{self.stream}: {key}: {is_} in {shard} comes after {was}"
        self._last[key] = is_
