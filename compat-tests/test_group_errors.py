"""Bad requests about consumer groups, and the error that each gets.

Every code here is Apache Kafka 4.3.1's: these tests were run against it (README.md, "Against another
broker") and pass there too.
"""

import time
import uuid

import pytest

from harness import group_wire as groups
from harness.clients import CONFLUENT
from harness.wire import Connection

NONE = 0
UNKNOWN_TOPIC_OR_PARTITION, OFFSET_METADATA_TOO_LARGE = 3, 12
ILLEGAL_GENERATION, INCONSISTENT_GROUP_PROTOCOL, INVALID_GROUP_ID = 22, 23, 24
UNKNOWN_MEMBER_ID, INVALID_SESSION_TIMEOUT, REBALANCE_IN_PROGRESS = 25, 26, 27
UNSUPPORTED_VERSION, INVALID_REQUEST = 35, 42
NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND = 68, 69
MEMBER_ID_REQUIRED, FENCED_INSTANCE_ID, GROUP_SUBSCRIBED_TO_TOPIC = 79, 82, 86
FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID, UNSUPPORTED_ASSIGNOR, STALE_MEMBER_EPOCH = 110, 111, 112, 113
INVALID_REGULAR_EXPRESSION = 128

# The longest session that a broker takes by default: nobody here sends heartbeats.
SESSION_MS = 1_800_000


def name(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def subscription(topic):
    """What Kafka's consumers tell their assignor, in version 0."""
    text = topic.encode()
    return b"\0\0" + b"\0\0\0\1" + len(text).to_bytes(2, "big") + text + b"\xff\xff\xff\xff"


class World:
    """Groups in every state that bad requests may meet, and a connection for the requests."""

    def __init__(self, broker):
        self.broker = broker
        self.topic, self.other_topic = name("t"), name("t")
        for topic in (self.topic, self.other_topic):
            CONFLUENT.create(broker.kafka, topic, 1)
        self.connection = Connection(broker.kafka)
        groups.wait_for_coordinator(self.connection)
        # One that nobody joins, because Kafka makes a group even for a member that it turns down.
        self.unknown = name("unknown")
        self.joining = name("joining")
        self.make_stable()
        self.make_empty()
        self.make_completing()
        self.make_connect()
        self.make_consumer()

    def joined(self, group, *members, kind="consumer", protocols=None):
        """Members join a new group together, each given by its instance or None."""
        connections = [Connection(self.broker.kafka) for _ in members]
        protocols = protocols or [("range", subscription(self.topic))]
        asked = dict(session_ms=SESSION_MS, kind=kind, protocols=protocols)
        for connection, instance in zip(connections, members, strict=True):
            # With an instance or in an older version, a member is in at once.
            groups.send_join(connection, group, instance=instance, id_first=False, **asked)
        answers = [
            groups.receive_join(connection, groups.join_version(False, instance))
            for connection, instance in zip(connections, members, strict=True)
        ]
        assert {answer.code for answer in answers} == {NONE}
        assert len({answer.generation for answer in answers}) == 1
        return connections, answers

    def assign(self, group, connections, answers, instances):
        order = sorted(zip(connections, answers, instances, strict=True), key=lambda it: bool(it[1].members))
        for connection, answer, instance in order:
            parts = [(member, b"") for member, _ in answer.members]
            groups.send_sync(connection, group, answer.generation, answer.member, parts, instance=instance)
        for connection, *_ in order:
            assert groups.receive_sync(connection)[0] == NONE

    def make_stable(self):
        self.stable = name("stable")
        instances = ["one", None]
        self.stable_connections, answers = self.joined(self.stable, *instances)
        self.assign(self.stable, self.stable_connections, answers, instances)
        self.generation = answers[0].generation
        self.static_member, self.member = (answer.member for answer in answers)
        assert groups.heartbeat(self.connection, self.stable, self.generation, self.member) == NONE

    def make_empty(self):
        self.empty = name("empty")
        connections, [answer] = self.joined(self.empty, None)
        self.assign(self.empty, connections, [answer], [None])
        self.gone, self.gone_generation = answer.member, answer.generation
        assert groups.leave(self.connection, self.empty, (self.gone, None)) == (NONE, [NONE])

    def make_completing(self):
        """The leader has not assigned yet."""
        self.completing = name("completing")
        self.completing_connections, [answer] = self.joined(self.completing, None)
        self.unassigned, self.unassigned_generation = answer.member, answer.generation

    def make_connect(self):
        """Members that are no consumers."""
        self.connect = name("connect")
        more = dict(kind="connect", protocols=[("sessioned", b"")])
        self.connect_connections, answers = self.joined(self.connect, None, **more)
        self.assign(self.connect, self.connect_connections, answers, [None])

    def make_consumer(self):
        """Groups of the newer protocol: one with a member, one with a static member."""
        self.consumer = name("consumer")
        first = groups.first_beat(self.connection, self.consumer, "m1", [self.topic])
        assert first.code == NONE, first
        [(self.topic_id, _)] = first.assignment
        self.first_epoch = first.epoch
        self.static = name("consumer-static")
        told = groups.first_beat(self.connection, self.static, "s1", [self.topic], instance="one")
        assert (told.code, told.epoch) == (NONE, self.first_epoch), told

    def epoch(self, number):
        """The first that a member is given is 1 here; others count from it."""
        return number if number <= 0 else number - 1 + self.first_epoch


@pytest.fixture(scope="module")
def world(broker):
    return World(broker)


def check(world, ask, expected):
    assert ask(world, world.connection) == expected


def cases(*rows):
    return pytest.mark.parametrize("ask, expected", [pytest.param(ask, code, id=what) for what, ask, code in rows])


def about(call, group, *more):
    def ask(world, connection):
        return call(connection, getattr(world, group, group), *[getattr(world, item, item) for item in more])

    return ask


def joins(group, member="", **more):
    def ask(world, connection):
        asked = dict(session_ms=SESSION_MS, protocols=[("range", subscription(world.topic))]) | more
        return groups.join(connection, getattr(world, group, group), getattr(world, member, member), **asked).code

    return ask


@cases(
    ("no group", joins(""), INVALID_GROUP_ID),
    ("a session too short", joins("joining", session_ms=5_999), INVALID_SESSION_TIMEOUT),
    ("a session too long", joins("joining", session_ms=1_800_001), INVALID_SESSION_TIMEOUT),
    ("a new member without an id", joins("joining"), MEMBER_ID_REQUIRED),
    ("a member of no group", joins("unknown", "nobody"), UNKNOWN_MEMBER_ID),
    ("a member of another group", joins("stable", "gone"), UNKNOWN_MEMBER_ID),
    ("a member that has left", joins("empty", "gone"), UNKNOWN_MEMBER_ID),
    ("no protocol type, in a new group", joins("joining", kind=""), INCONSISTENT_GROUP_PROTOCOL),
    ("no assignor, in a new group", joins("joining", protocols=[]), INCONSISTENT_GROUP_PROTOCOL),
    ("another protocol type", joins("stable", "member", kind="connect"), INCONSISTENT_GROUP_PROTOCOL),
    ("no assignor", joins("stable", "member", protocols=[]), INCONSISTENT_GROUP_PROTOCOL),
    ("no assignor that all have", joins("stable", protocols=[("own", b"")]), INCONSISTENT_GROUP_PROTOCOL),
    ("an instance of another's id", joins("stable", "member", instance="one"), FENCED_INSTANCE_ID),
    ("an unknown instance", joins("stable", "member", instance="two"), UNKNOWN_MEMBER_ID),
    ("a new member of the classic protocol among newer ones", joins("consumer"), MEMBER_ID_REQUIRED),
    ("no session, among newer ones", joins("consumer", session_ms=0), INVALID_SESSION_TIMEOUT),
    ("a connect worker among consumers", joins("consumer", kind="connect"), INCONSISTENT_GROUP_PROTOCOL),
)
def test_joins(world, ask, expected):
    check(world, ask, expected)


def member_calls(group, generation, member, instance=None):
    """Heartbeat and SyncGroup of a caller."""

    def ask(world, connection):
        def of(value):
            return getattr(world, value, value) if isinstance(value, str) else value

        who = of(group), of(generation), of(member)
        beats = groups.heartbeat(connection, *who, instance=instance)
        return beats, groups.sync(connection, *who, instance=instance)[0]

    return ask


@cases(
    ("no group", member_calls("", 1, "nobody"), (INVALID_GROUP_ID,) * 2),
    ("no such group", member_calls("unknown", 1, "nobody"), (UNKNOWN_MEMBER_ID,) * 2),
    ("no such member", member_calls("stable", "generation", "nobody"), (UNKNOWN_MEMBER_ID,) * 2),
    ("no member", member_calls("stable", "generation", ""), (UNKNOWN_MEMBER_ID,) * 2),
    ("an old generation", member_calls("stable", 0, "member"), (ILLEGAL_GENERATION,) * 2),
    ("no generation", member_calls("stable", -1, "member"), (ILLEGAL_GENERATION,) * 2),
    ("a generation to come", member_calls("stable", 99, "member"), (ILLEGAL_GENERATION,) * 2),
    ("an instance of another's id", member_calls("stable", "generation", "member", "one"), (FENCED_INSTANCE_ID,) * 2),
    ("an unknown instance", member_calls("stable", "generation", "member", "two"), (UNKNOWN_MEMBER_ID,) * 2),
    ("a member that has left", member_calls("empty", "gone_generation", "gone"), (UNKNOWN_MEMBER_ID,) * 2),
    ("a member of the newer protocol", member_calls("consumer", 1, "m1"), (UNKNOWN_MEMBER_ID,) * 2),
)
def test_heartbeats_and_syncs(world, ask, expected):
    check(world, ask, expected)


def syncs(kind, protocol):
    def ask(world, connection):
        return groups.sync_5(connection, world.stable, world.generation, world.member, kind, protocol)

    return ask


@cases(
    ("another protocol type", syncs("connect", "range"), INCONSISTENT_GROUP_PROTOCOL),
    ("another assignor", syncs("consumer", "sticky"), INCONSISTENT_GROUP_PROTOCOL),
    ("no protocol type", syncs(None, "range"), INCONSISTENT_GROUP_PROTOCOL),
    ("no assignor", syncs("consumer", None), INCONSISTENT_GROUP_PROTOCOL),
    ("both right", syncs("consumer", "range"), NONE),
)
def test_syncs_that_name_the_protocol(world, ask, expected):
    check(world, ask, expected)


def leaves(group, member, instance=None):
    def ask(world, connection):
        return groups.leave(connection, getattr(world, group, group), (getattr(world, member, member), instance))

    return ask


@cases(
    ("no group", leaves("", "nobody"), (INVALID_GROUP_ID, [])),
    ("no such group", leaves("unknown", "nobody"), (NONE, [UNKNOWN_MEMBER_ID])),
    ("no such member", leaves("stable", "nobody"), (NONE, [UNKNOWN_MEMBER_ID])),
    ("no member", leaves("stable", ""), (NONE, [UNKNOWN_MEMBER_ID])),
    ("an instance of another's id", leaves("stable", "member", "one"), (NONE, [FENCED_INSTANCE_ID])),
    ("an unknown instance", leaves("stable", "member", "two"), (NONE, [UNKNOWN_MEMBER_ID])),
    ("an unknown instance alone", leaves("stable", "", "two"), (NONE, [UNKNOWN_MEMBER_ID])),
    ("a member that has left", leaves("empty", "gone"), (NONE, [UNKNOWN_MEMBER_ID])),
)
def test_departures(world, ask, expected):
    check(world, ask, expected)


def commits(group, generation=-1, member="", instance=None, topic="topic", **more):
    def ask(world, connection):
        def of(value):
            return getattr(world, value, value) if isinstance(value, str) else value

        who = dict(generation=of(generation), member=of(member), instance=instance)
        return groups.commit(connection, of(group), of(topic), **who, **more)

    return ask


@cases(
    ("an unknown topic", commits("unknown", topic="no-such-topic"), UNKNOWN_TOPIC_OR_PARTITION),
    ("an unknown partition", commits("unknown", partition=1), UNKNOWN_TOPIC_OR_PARTITION),
    ("a negative partition", commits("unknown", partition=-1), UNKNOWN_TOPIC_OR_PARTITION),
    ("metadata of 4097 bytes", commits("offsets", metadata="m" * 4097), OFFSET_METADATA_TOO_LARGE),
    ("metadata of 4096 bytes", commits("offsets", metadata="m" * 4096), NONE),
    ("no metadata", commits("offsets", metadata=None), NONE),
    ("a generation of no group", commits("unknown", 3, "nobody"), ILLEGAL_GENERATION),
    ("nobody, while there are members", commits("stable"), UNKNOWN_MEMBER_ID),
    ("a stranger", commits("stable", "generation", "nobody"), UNKNOWN_MEMBER_ID),
    ("an old generation", commits("stable", 0, "member"), ILLEGAL_GENERATION),
    ("a generation to come", commits("stable", 99, "member"), ILLEGAL_GENERATION),
    ("an instance of another's id", commits("stable", "generation", "member", "one"), FENCED_INSTANCE_ID),
    ("an unknown instance", commits("stable", "generation", "member", "two"), UNKNOWN_MEMBER_ID),
    ("before the assignment", commits("completing", "unassigned_generation", "unassigned"), REBALANCE_IN_PROGRESS),
    ("a member that has left", commits("empty", "gone_generation", "gone"), UNKNOWN_MEMBER_ID),
    ("nobody, in an empty group", commits("empty"), NONE),
)
def test_commits(world, ask, expected):
    check(world, ask, expected)


def newer_commits(group, epoch, member="", version=9):
    def ask(world, connection):
        who = dict(epoch=world.epoch(epoch), member=member, version=version)
        [code] = groups.commit_9(connection, getattr(world, group), world.topic, **who)
        return code

    return ask


@cases(
    ("a generation of no group", newer_commits("unknown", 3, "nobody"), GROUP_ID_NOT_FOUND),
    ("a generation of no group, older clients", newer_commits("unknown", 3, "nobody", 8), ILLEGAL_GENERATION),
    ("nobody, while there are members", newer_commits("consumer", -1), UNKNOWN_MEMBER_ID),
    ("a stranger", newer_commits("consumer", 1, "nobody"), UNKNOWN_MEMBER_ID),
    ("an epoch before it had it", newer_commits("consumer", 0, "m1"), STALE_MEMBER_EPOCH),
    ("an epoch to come", newer_commits("consumer", 2, "m1"), STALE_MEMBER_EPOCH),
    ("no epoch", newer_commits("consumer", -1, "m1"), STALE_MEMBER_EPOCH),
    ("an older version", newer_commits("consumer", 1, "m1", 8), UNSUPPORTED_VERSION),
    ("as it should be", newer_commits("consumer", 1, "m1"), NONE),
)
def test_commits_of_members_of_the_newer_protocol(world, ask, expected):
    check(world, ask, expected)


def fetches(group, topic="topic"):
    return about(groups.fetch, group, topic)


def newer_fetches(group, member, epoch):
    def ask(world, connection):
        return groups.fetch_9(connection, getattr(world, group), world.topic, member, world.epoch(epoch))

    return ask


@cases(
    ("no group", fetches("never-" * 2), (NONE, NONE, -1)),
    ("no such group", fetches("unknown"), (NONE, NONE, -1)),
    ("an unknown topic", fetches("stable", "no-such-topic"), (NONE, NONE, -1)),
    ("nobody", newer_fetches("consumer", None, -1), NONE),
    ("a stranger", newer_fetches("consumer", "nobody", 1), UNKNOWN_MEMBER_ID),
    ("an old epoch", newer_fetches("consumer", "m1", 0), STALE_MEMBER_EPOCH),
    ("an epoch to come", newer_fetches("consumer", "m1", 2), STALE_MEMBER_EPOCH),
    ("a member of no group", newer_fetches("unknown", "nobody", 1), NONE),
)
def test_fetches_of_offsets(world, ask, expected):
    check(world, ask, expected)


def describes(group):
    return about(groups.describe_consumer_group, group)


@cases(
    ("describe an unknown group", about(groups.describe, "unknown"), (NONE, "Dead")),
    ("describe a group of the newer protocol", about(groups.describe, "consumer"), (NONE, "Dead")),
    ("delete an unknown group", about(groups.delete_group, "unknown"), GROUP_ID_NOT_FOUND),
    ("delete a group with members", about(groups.delete_group, "stable"), NON_EMPTY_GROUP),
    ("delete a newer group with members", about(groups.delete_group, "consumer"), NON_EMPTY_GROUP),
    ("forget offsets of no group", about(groups.delete_offset, "", "topic"), (INVALID_GROUP_ID, None)),
    ("forget offsets of an unknown group", about(groups.delete_offset, "unknown", "topic"), (GROUP_ID_NOT_FOUND, None)),
    (
        "forget offsets of a topic that is read",
        about(groups.delete_offset, "stable", "topic"),
        (NONE, GROUP_SUBSCRIBED_TO_TOPIC),
    ),
    ("forget offsets of a topic that is not read", about(groups.delete_offset, "stable", "other_topic"), (NONE, NONE)),
    (
        "forget offsets of a topic that is read, newer",
        about(groups.delete_offset, "consumer", "topic"),
        (NONE, GROUP_SUBSCRIBED_TO_TOPIC),
    ),
    (
        "forget offsets of an unknown topic",
        about(groups.delete_offset, "stable", "no-such-topic"),
        (NONE, UNKNOWN_TOPIC_OR_PARTITION),
    ),
    ("forget offsets of connect workers", about(groups.delete_offset, "connect", "topic"), (NON_EMPTY_GROUP, None)),
    ("newer: describe no group", describes(""), (INVALID_GROUP_ID, "")),
    ("newer: describe an unknown group", describes("unknown"), (GROUP_ID_NOT_FOUND, "")),
    ("newer: describe a classic group", describes("stable"), (GROUP_ID_NOT_FOUND, "")),
)
def test_what_tools_ask(world, ask, expected):
    check(world, ask, expected)


def beats(group, member, epoch, **more):
    def ask(world, connection):
        given = {key: value(world) if callable(value) else value for key, value in more.items()}
        who = getattr(world, group, group), getattr(world, member, member), world.epoch(epoch)
        return groups.beat(connection, *who, **given).code

    return ask


def first_beats(group, member, **more):
    given = dict(rebalance_ms=60_000, topics=lambda world: [world.topic], owned=[]) | more
    return beats(group, member, 0, **given)


def partition(number):
    return lambda world: [(world.topic_id, number)]


@cases(
    ("no group", first_beats("", "m"), INVALID_REQUEST),
    ("a blank group", first_beats(" ", "m"), INVALID_REQUEST),
    ("no member", first_beats("unknown", ""), INVALID_REQUEST),
    ("no member, later", beats("consumer", "", 1), INVALID_REQUEST),
    ("no member, to leave", beats("consumer", "", -1), INVALID_REQUEST),
    ("no instance", first_beats("unknown", "m", instance=""), INVALID_REQUEST),
    ("no rack", first_beats("unknown", "m", rack=""), INVALID_REQUEST),
    ("no rebalance timeout", first_beats("unknown", "m", rebalance_ms=-1), INVALID_REQUEST),
    ("no word on partitions", first_beats("unknown", "m", owned=None), INVALID_REQUEST),
    ("partitions from the start", first_beats("unknown", "m", owned=partition(0)), INVALID_REQUEST),
    ("no word on topics", first_beats("unknown", "m", topics=None), INVALID_REQUEST),
    ("an epoch that means nothing", beats("consumer", "m1", -3), INVALID_REQUEST),
    ("away without an instance", beats("consumer", "m1", -2), INVALID_REQUEST),
    ("an unknown assignor", first_beats("unknown", "m", assignor="sticky"), UNSUPPORTED_ASSIGNOR),
    ("a broken pattern", first_beats("unknown", "m", topics=None, pattern="("), INVALID_REGULAR_EXPRESSION),
    ("look-around in a pattern", first_beats("unknown", "m", topics=None, pattern="(?=a)"), INVALID_REGULAR_EXPRESSION),
    ("a member of no group", beats("unknown", "m", 1), GROUP_ID_NOT_FOUND),
    ("a member of a classic group", beats("stable", "member", 1), GROUP_ID_NOT_FOUND),
    ("to leave no group", beats("unknown", "m", -1), GROUP_ID_NOT_FOUND),
    ("a member of connect workers' group", first_beats("connect", "m"), GROUP_ID_NOT_FOUND),
    ("a stranger", beats("consumer", "nobody", 1), UNKNOWN_MEMBER_ID),
    ("a stranger, to leave", beats("consumer", "nobody", -1), UNKNOWN_MEMBER_ID),
    ("an epoch to come", beats("consumer", "m1", 2), FENCED_MEMBER_EPOCH),
    ("an epoch to come, with a partition", beats("consumer", "m1", 2, owned=partition(0)), FENCED_MEMBER_EPOCH),
    ("a partition that there is not", beats("consumer", "m1", 1, owned=partition(7)), NONE),
    ("a negative partition", beats("consumer", "m1", 1, owned=partition(-1)), NONE),
    ("a topic that there is not", beats("consumer", "m1", 1, owned=[(b"no such topic id", 0)]), NONE),
    ("a new process of an instance", first_beats("static", "s2", instance="one"), UNRELEASED_INSTANCE_ID),
    ("an instance of another's id", beats("static", "s2", 1, instance="one"), FENCED_INSTANCE_ID),
    ("an instance of another's id, to leave", beats("static", "s2", -1, instance="one"), FENCED_INSTANCE_ID),
    ("an instance of another's id, to be away", beats("static", "s2", -2, instance="one"), FENCED_INSTANCE_ID),
    ("an unknown instance", beats("static", "s1", 1, instance="two"), UNKNOWN_MEMBER_ID),
    ("an unknown instance, to be away", beats("static", "s1", -2, instance="two"), UNKNOWN_MEMBER_ID),
)
def test_heartbeats_of_the_newer_protocol(world, ask, expected):
    check(world, ask, expected)


def test_the_empty_group_id_is_a_group_for_offsets_and_tools(world):
    connection, group = world.connection, ""
    assert groups.commit(connection, group, world.topic, offset=7) == NONE
    assert groups.fetch(connection, group, world.topic) == (NONE, NONE, 7)
    assert groups.describe(connection, group) == (NONE, "Empty")
    assert groups.delete_group(connection, group) == NONE
    assert groups.describe(connection, group) == (NONE, "Dead")
    assert groups.delete_group(connection, group) == GROUP_ID_NOT_FOUND


def test_in_version_0_the_coordinator_makes_the_id(world):
    told = groups.first_beat(world.connection, name("g"), "", [world.topic], version=0)
    assert told.code == NONE and told.member


def test_an_old_epoch_is_taken_once_more_with_no_more_than_was_given(world):
    group, connection = name("g"), world.connection
    first = groups.first_beat(connection, group, "m", [world.topic]).epoch
    groups.beat(connection, group, "m", first, topics=[world.topic, world.other_topic])
    epoch = wait_for_epoch(connection, group, "m", first)
    stale = groups.beat(connection, group, "m", epoch - 1)
    assert stale.code == FENCED_MEMBER_EPOCH, "it does not say what it has"
    again = groups.beat(connection, group, "m", epoch - 1, owned=[(world.topic_id, 0)])
    assert (again.code, again.epoch) == (NONE, epoch)
    greedy = groups.beat(connection, group, "m", epoch - 1, owned=[(world.topic_id, 7)])
    assert greedy.code == FENCED_MEMBER_EPOCH
    # What it had then it may commit as of then (KIP-1251), and nothing else.
    codes = groups.commit_9(connection, group, world.topic, member="m", epoch=epoch - 1)
    others = groups.commit_9(connection, group, world.other_topic, member="m", epoch=epoch - 1)
    assert (codes, others) == ([NONE], [STALE_MEMBER_EPOCH])


def test_a_member_that_was_fenced_joins_again_under_its_id(world):
    group, connection = name("g"), world.connection
    first = groups.first_beat(connection, group, "m", [world.topic]).epoch
    groups.beat(connection, group, "m", first, topics=[world.topic, world.other_topic])
    epoch = wait_for_epoch(connection, group, "m", first)
    assert groups.beat(connection, group, "m", epoch + 1).code == FENCED_MEMBER_EPOCH
    again = groups.first_beat(connection, group, "m", [world.topic, world.other_topic])
    assert (again.code, again.epoch, len(again.assignment)) == (NONE, epoch, 2)


def wait_for_epoch(connection, group, member, epoch):
    """A broker may take its time to assign anew (Kafka: a second): beats until the member has moved on."""
    for _ in range(200):
        # All that it has, so that an answer that was lost does not matter.
        told = groups.beat(connection, group, member, epoch, owned=[])
        assert told.code == NONE, told
        if told.epoch > epoch:
            return told.epoch
        time.sleep(0.05)
    raise AssertionError("the group was not assigned anew")


def test_an_assignment_for_strangers_is_none(world):
    """What the leader assigns to members that there are not is dropped; who is left out gets nothing."""
    group = name("g")
    [connection], [answer] = world.joined(group, None)
    code, assignment = groups.sync(connection, group, answer.generation, answer.member, [("nobody", b"all of it")])
    assert (code, assignment) == (NONE, b"")
    assert groups.heartbeat(connection, group, answer.generation, answer.member) == NONE


def test_what_a_follower_assigns_counts_for_nothing(world):
    group = name("g")
    connections, answers = world.joined(group, None, None)
    order = sorted(zip(connections, answers, strict=True), key=lambda it: bool(it[1].members))
    (follower, followed), (leader, leads) = order
    groups.send_sync(follower, group, followed.generation, followed.member, [(leads.member, b"mine")])
    parts = [(member, b"yours") for member, _ in leads.members]
    assert groups.sync(leader, group, leads.generation, leads.member, parts) == (NONE, b"yours")
    assert groups.receive_sync(follower) == (NONE, b"yours")
