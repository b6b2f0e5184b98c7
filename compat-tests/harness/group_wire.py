"""The APIs of consumer groups by hand: for bad requests, and for more members than there are threads.

Each function of the classic protocol takes the last version without compact fields that has all that
matters; those of the newer protocol (KIP-848) exist in compact form only.
"""

import struct
import time
from dataclasses import dataclass, field

from harness.wire import string

OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR = 8, 9, 10
JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = 11, 12, 13, 14
DESCRIBE_GROUPS, LIST_GROUPS, DELETE_GROUPS, OFFSET_DELETE = 15, 16, 42, 47
CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_DESCRIBE = 68, 69
NO_TAGS = b"\0"


def nullable(text):
    return struct.pack(">h", -1) if text is None else string(text)


def blob(data):
    return struct.pack(">i", len(data)) + data


def array(items):
    items = list(items)
    return struct.pack(">i", len(items)) + b"".join(items)


def unsigned(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def compact(text):
    """A compact string; None is null."""
    return b"\0" if text is None else unsigned(len(text.encode()) + 1) + text.encode()


def compact_array(items):
    """None is null."""
    if items is None:
        return b"\0"
    items = list(items)
    return unsigned(len(items) + 1) + b"".join(items)


class Reader:
    """Takes a reply apart, field by field."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        part = self.data[self.at : self.at + count]
        assert len(part) == count, "the reply ends too soon"
        self.at += count
        return part

    def number(self, form):
        [number] = struct.unpack(">" + form, self.take(struct.calcsize(form)))
        return number

    def int16(self):
        return self.number("h")

    def int32(self):
        return self.number("i")

    def int64(self):
        return self.number("q")

    def unsigned(self):
        number = shift = 0
        while True:
            [byte] = self.take(1)
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    def string(self):
        """Null is None."""
        size = self.int16()
        return None if size < 0 else self.take(size).decode()

    def blob(self):
        return self.take(self.int32())

    def array(self, item):
        return [item() for _ in range(self.int32())]

    def compact(self):
        """A compact string; null is None."""
        size = self.unsigned()
        return None if size == 0 else self.take(size - 1).decode()

    def compact_array(self, item):
        return [item() for _ in range(self.unsigned() - 1)]

    def tags(self):
        assert self.unsigned() == 0, "no tagged field is expected"


def wait_for_coordinator(connection):
    """Kafka makes the topic of its groups when it is first asked for a coordinator, and loads it then."""
    for _ in range(200):
        found = Reader(connection.ask(FIND_COORDINATOR, 0, string("any")))
        if found.int16() == 0 and all(describe(connection, f"any-{n}")[0] == 0 for n in range(50)):
            return
        time.sleep(0.1)
    raise AssertionError("no broker coordinates groups")


@dataclass
class Joined:
    code: int
    generation: int = -1
    protocol: str = ""
    leader: str = ""
    member: str = ""
    members: list = field(default_factory=list)


def send_join(connection, group, member="", *, instance=None, id_first=True, session_ms=60_000, **more):
    """Without waiting for the answer. `id_first=False` is the last version in which a new member is
    in at once."""
    kind = more.get("kind", "consumer")
    protocols = more.get("protocols", [("range", b"")])
    body = string(group) + struct.pack(">ii", session_ms, more.get("rebalance_ms", 60_000))
    body += string(member)
    if id_first or instance is not None:
        body += nullable(instance)
    body += string(kind) + array(string(name) + blob(data) for name, data in protocols)
    connection.send(JOIN_GROUP, join_version(id_first, instance), body)


def join_version(id_first, instance):
    return 5 if id_first or instance is not None else 3


def receive_join(connection, version=5):
    reply = Reader(connection.receive())
    reply.int32()
    joined = Joined(reply.int16(), reply.int32(), reply.string(), reply.string(), reply.string())

    def member():
        name = reply.string()
        if version >= 5:
            reply.string()
        return name, reply.blob()

    joined.members = reply.array(member)
    return joined


def join(connection, group, member="", **more):
    send_join(connection, group, member, **more)
    return receive_join(connection, join_version(more.get("id_first", True), more.get("instance")))


def send_sync(connection, group, generation, member, assignments=(), instance=None):
    body = string(group) + struct.pack(">i", generation) + string(member) + nullable(instance)
    body += array(string(name) + blob(data) for name, data in assignments)
    connection.send(SYNC_GROUP, 3, body)


def receive_sync(connection):
    """The error code and the assignment."""
    reply = Reader(connection.receive())
    reply.int32()
    return reply.int16(), reply.blob()


def sync(connection, *arguments, **more):
    send_sync(connection, *arguments, **more)
    return receive_sync(connection)


def sync_5(connection, group, generation, member, kind, protocol):
    """Version 5, which names the protocol; the error code."""
    body = compact(group) + struct.pack(">i", generation) + compact(member) + compact(None)
    body += compact(kind) + compact(protocol) + compact_array([]) + NO_TAGS
    reply = Reader(connection.ask(SYNC_GROUP, 5, body, flexible=True))
    reply.int32()
    return reply.int16()


def heartbeat(connection, group, generation, member, instance=None):
    body = string(group) + struct.pack(">i", generation) + string(member) + nullable(instance)
    reply = Reader(connection.ask(HEARTBEAT, 3, body))
    reply.int32()
    return reply.int16()


def leave(connection, group, *members):
    """Members are pairs of an id and an instance. The group's error code, then each one's."""
    body = string(group) + array(string(name) + nullable(instance) for name, instance in members)
    reply = Reader(connection.ask(LEAVE_GROUP, 3, body))
    reply.int32()
    code = reply.int16()

    def member():
        reply.string(), reply.string()
        return reply.int16()

    return code, reply.array(member)


def commit(connection, group, topic, partition=0, offset=1, *, generation=-1, member="", instance=None, metadata=""):
    """The partition's error code."""
    body = string(group) + struct.pack(">i", generation) + string(member) + nullable(instance)
    place = struct.pack(">iqi", partition, offset, -1) + nullable(metadata)
    body += array([string(topic) + array([place])])
    reply = Reader(connection.ask(OFFSET_COMMIT, 7, body))
    reply.int32()
    [[code]] = reply.array(lambda: (reply.string(), reply.array(lambda: (reply.int32(), reply.int16())[1]))[1])
    return code


def commit_9(connection, group, topic, partitions=(0,), offset=1, *, epoch=-1, member="", version=9):
    """In version 8 or 9, compact: the partitions' error codes."""
    body = compact(group) + struct.pack(">i", epoch) + compact(member) + compact(None)
    places = [struct.pack(">iqi", at, offset, -1) + compact("") + NO_TAGS for at in partitions]
    body += compact_array([compact(topic) + compact_array(places) + NO_TAGS]) + NO_TAGS
    reply = Reader(connection.ask(OFFSET_COMMIT, version, body, flexible=True))
    reply.int32()

    def partition():
        reply.int32()
        code = reply.int16()
        reply.tags()
        return code

    def topics():
        reply.compact()
        codes = reply.compact_array(partition)
        reply.tags()
        return codes

    [codes] = reply.compact_array(topics)
    return codes


def fetch(connection, group, topic, partition=0):
    """The group's error code, the partition's, and the offset."""
    body = string(group) + array([string(topic) + array([struct.pack(">i", partition)])])
    reply = Reader(connection.ask(OFFSET_FETCH, 5, body))
    reply.int32()

    def place():
        reply.int32()
        offset, _, _, code = reply.int64(), reply.int32(), reply.string(), reply.int16()
        return code, offset

    [[(code, offset)]] = reply.array(lambda: (reply.string(), reply.array(place))[1])
    return reply.int16(), code, offset


def fetch_9(connection, group, topic, member=None, epoch=-1):
    """The group's error code."""
    partitions = compact_array([struct.pack(">i", 0)])
    of_group = compact(group) + compact(member) + struct.pack(">i", epoch)
    of_group += compact_array([compact(topic) + partitions + NO_TAGS]) + NO_TAGS
    body = compact_array([of_group]) + b"\0" + NO_TAGS
    reply = Reader(connection.ask(OFFSET_FETCH, 9, body, flexible=True))
    reply.int32()
    assert reply.unsigned() == 2, "one group"
    reply.compact()

    def partition():
        reply.int32(), reply.int64(), reply.int32(), reply.compact(), reply.int16(), reply.tags()

    def topics():
        reply.compact(), reply.compact_array(partition), reply.tags()

    reply.compact_array(topics)
    return reply.int16()


def describe(connection, group):
    """The error code and the state."""
    reply = Reader(connection.ask(DESCRIBE_GROUPS, 4, array([string(group)]) + b"\0"))
    reply.int32(), reply.int32()
    code = reply.int16()
    reply.string()
    return code, reply.string()


def list_groups(connection):
    """{group: state}"""
    body = compact_array([]) + NO_TAGS
    reply = Reader(connection.ask(LIST_GROUPS, 4, body, flexible=True))
    reply.int32()
    assert reply.int16() == 0

    def group():
        name, _, state, _ = reply.compact(), reply.compact(), reply.compact(), reply.tags()
        return name, state

    return dict(reply.compact_array(group))


def delete_group(connection, group):
    reply = Reader(connection.ask(DELETE_GROUPS, 1, array([string(group)])))
    reply.int32()
    [code] = reply.array(lambda: (reply.string(), reply.int16())[1])
    return code


def delete_offset(connection, group, topic, partition=0):
    """The group's error code, then the partition's (None if it has none)."""
    body = string(group) + array([string(topic) + array([struct.pack(">i", partition)])])
    reply = Reader(connection.ask(OFFSET_DELETE, 0, body))
    code = reply.int16()
    reply.int32()
    topics = reply.array(lambda: (reply.string(), reply.array(lambda: (reply.int32(), reply.int16())[1]))[1])
    return code, topics[0][0] if topics else None


@dataclass
class Told:
    code: int
    message: str | None
    member: str | None
    epoch: int
    # [(topic id, partition)], or None if it was not told.
    assignment: list | None = None


def beat(connection, group, member, epoch, *, version=1, **more):
    """ConsumerGroupHeartbeat. What is not given is null: as it was said before."""
    body = compact(group) + compact(member) + struct.pack(">i", epoch)
    body += compact(more.get("instance")) + compact(more.get("rack"))
    body += struct.pack(">i", more.get("rebalance_ms", -1))
    names = more.get("topics")
    body += compact_array(None if names is None else map(compact, names))
    if version >= 1:
        body += compact(more.get("pattern"))
    body += compact(more.get("assignor"))
    owned = more.get("owned")
    body += compact_array(None if owned is None else map(partition_set, by_topic(owned))) + NO_TAGS
    reply = Reader(connection.ask(CONSUMER_GROUP_HEARTBEAT, version, body, flexible=True))
    reply.int32()
    told = Told(reply.int16(), reply.compact(), reply.compact(), reply.int32())
    reply.int32()
    if reply.number("b") >= 0:
        topics = reply.compact_array(lambda: read_partition_set(reply))
        told.assignment = [(topic, at) for topic, partitions in topics for at in partitions]
    return told


def first_beat(connection, group, member, topics, **more):
    """A member joins."""
    given = {"rebalance_ms": 60_000, "topics": topics, "owned": [], **more}
    return beat(connection, group, member, 0, **given)


def by_topic(partitions):
    topics = {}
    for topic, partition in partitions:
        topics.setdefault(topic, []).append(partition)
    return topics.items()


def partition_set(item):
    topic, partitions = item
    return topic + compact_array(struct.pack(">i", at) for at in partitions) + NO_TAGS


def read_partition_set(reply):
    topic = reply.take(16)
    partitions = reply.compact_array(reply.int32)
    reply.tags()
    return topic, partitions


def describe_consumer_group(connection, group):
    """The error code and the state."""
    body = compact_array([compact(group)]) + b"\0" + NO_TAGS
    reply = Reader(connection.ask(CONSUMER_GROUP_DESCRIBE, 1, body, flexible=True))
    reply.int32()
    assert reply.unsigned() == 2, "one group"
    code = reply.int16()
    reply.compact(), reply.compact()
    return code, reply.compact()
