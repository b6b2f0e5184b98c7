"""A thousand members in one group, and a thousand groups. Each member is a connection, or an id on one
connection, spoken for by hand (harness/group_wire.py)."""

import resource
import uuid
from contextlib import ExitStack

import pytest

from harness import group_wire as groups
from harness.clients import RDKAFKA
from harness.records import Record
from harness.wire import Connection

MANY = 1_000
NONE, REBALANCE_IN_PROGRESS = 0, 27
# Open files of the tests, and of the broker, which inherits the limit.
OPEN_FILES = 4 * MANY


@pytest.fixture(autouse=True, scope="module")
def enough_open_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES:
        pytest.skip(f"needs {OPEN_FILES} open files, and may have {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, OPEN_FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def group():
    return f"g-{uuid.uuid4().hex[:12]}"


class Member:
    """A member of a classic group, on a connection of its own: a call of its waits for the others."""

    def __init__(self, broker, group, stack):
        self.connection = stack.enter_context(Connection(broker.kafka))
        self.group = group
        self.id = ""

    def send_join(self):
        groups.send_join(self.connection, self.group, self.id, id_first=False)

    def receive_join(self):
        joined = groups.receive_join(self.connection, version=3)
        assert joined.code == NONE
        self.id, self.generation, self.members = joined.member, joined.generation, joined.members

    def send_sync(self):
        parts = [(member, member.encode()) for member, _ in self.members]
        groups.send_sync(self.connection, self.group, self.generation, self.id, parts)

    def heartbeat(self):
        return groups.heartbeat(self.connection, self.group, self.generation, self.id)


def rebalance(members, came=()):
    """All join that have not come yet, one assigns each its own id, all get it. Gives the generation."""
    for member in members:
        if member not in came:
            member.send_join()
    for member in members:
        member.receive_join()
    assert len({member.id for member in members}) == len(members)
    [generation] = {member.generation for member in members}
    [leader] = [member for member in members if member.members]
    assert {name for name, _ in leader.members} == {member.id for member in members}
    for member in members:
        member.send_sync()
    for member in members:
        assert groups.receive_sync(member.connection) == (NONE, member.id.encode())
    assert {member.heartbeat() for member in members} == {NONE}
    return generation


def test_a_thousand_members_share_a_classic_group(own_broker, group):
    broker = own_broker().start()
    with ExitStack() as stack:
        members = [Member(broker, group, stack) for _ in range(MANY)]
        generation = rebalance(members)
        gone = members.pop()
        assert groups.leave(gone.connection, group, (gone.id, None)) == (NONE, [NONE])
        assert {member.heartbeat() for member in members} == {REBALANCE_IN_PROGRESS}
        assert rebalance(members) == generation + 1
        newcomer = Member(broker, group, stack)
        newcomer.send_join()
        # Who joins again before the newcomer is there is told that nothing has changed.
        tries = iter(range(MANY))
        while members[0].heartbeat() == NONE:
            next(tries)
        assert rebalance([*members, newcomer], came=[newcomer]) == generation + 2


def test_a_thousand_members_share_a_group_of_the_newer_protocol(own_broker, group, topic):
    """After each change every member has its share as soon as each has been heard twice."""
    broker = own_broker("--set=group.consumer.assignment.interval.ms=0").start()
    RDKAFKA.create(broker.kafka, topic, MANY)
    with Connection(broker.kafka) as connection:
        epochs, held = {}, {}

        def take_in(member, told):
            assert told.code == NONE, told
            epochs[member] = told.epoch
            if told.assignment is not None:
                held[member] = told.assignment

        def beat_all():
            for member in epochs:
                take_in(member, groups.beat(connection, group, member, epochs[member], owned=held[member]))

        for number in range(MANY):
            member = f"m{number:03}"
            take_in(member, groups.first_beat(connection, group, member, [topic]))
        for _ in range(2):
            beat_all()
        assert groups.describe_consumer_group(connection, group) == (NONE, "Stable")
        assert {len(parts) for parts in held.values()} == {1}
        assert len({part for parts in held.values() for part in parts}) == MANY
        assert len(set(epochs.values())) == 1

        # Half of them go; the others take over what they had.
        for number in range(0, MANY, 2):
            member = f"m{number:03}"
            assert groups.beat(connection, group, member, -1).code == NONE
            del epochs[member], held[member]
        for _ in range(2):
            beat_all()
        assert groups.describe_consumer_group(connection, group) == (NONE, "Stable")
        assert {len(parts) for parts in held.values()} == {2}


def test_a_thousand_groups_go_on_over_a_kill_of_the_broker(own_broker, topic):
    broker = own_broker("--set=group.initial.rebalance.delay.ms=0").start()
    RDKAFKA.create(broker.kafka, topic, 1)
    RDKAFKA.produce(broker.kafka, topic, [Record(0, 1_700_000_000_000, None, b"x", [])] * 3)
    names = [f"g-{number:03}" for number in range(MANY)]
    members = {}
    with Connection(broker.kafka) as connection:
        for number, group in enumerate(names):
            joined = groups.join(connection, group, id_first=False)
            members[group] = joined.generation, joined.member
            parts = [(joined.member, group.encode())]
            assert groups.sync(connection, group, *members[group], parts) == (NONE, group.encode())
            who = dict(generation=joined.generation, member=joined.member)
            assert groups.commit(connection, group, topic, offset=number, **who) == NONE
        assert groups.list_groups(connection) == dict.fromkeys(names, "Stable")
    broker.kill()
    broker.start()
    with Connection(broker.kafka) as connection:
        for number, group in enumerate(names):
            assert groups.heartbeat(connection, group, *members[group]) == NONE
            assert groups.sync(connection, group, *members[group]) == (NONE, group.encode())
            assert groups.fetch(connection, group, topic) == (NONE, NONE, number)
            assert groups.leave(connection, group, (members[group][1], None)) == (NONE, [NONE])
        assert groups.list_groups(connection) == dict.fromkeys(names, "Empty")
        for group in names:
            assert groups.delete_group(connection, group) == NONE
        assert groups.list_groups(connection) == {}
