"""Consumer groups by other people's clients, in both protocols: members share a topic, one dies and
another takes over, a static member restarts without a rebalance."""

import uuid

import pytest

from harness.clients import FRANZ, KAFKAJS, RDKAFKA
from harness.members import CLASSIC_PROTOCOL, CONSUMER_PROTOCOL, seen_soon, wait_until
from harness.records import Record

PARTITIONS = 4
# Short sessions, so that a dead member is missed soon. Kafka's bounds move with them.
SETTINGS = [
    "--set=group.initial.rebalance.delay.ms=0",
    "--set=group.min.session.timeout.ms=6000",
    "--set=group.consumer.min.session.timeout.ms=6000",
    "--set=group.consumer.session.timeout.ms=6000",
    "--set=group.consumer.min.heartbeat.interval.ms=500",
    "--set=group.consumer.heartbeat.interval.ms=500",
    "--set=group.consumer.assignment.interval.ms=0",
]
CLASSIC_SESSION = ("session.timeout.ms=6000", "heartbeat.interval.ms=500")

PROTOCOLS = [pytest.param(program, (), id=f"consumer-{program.name}") for program in CONSUMER_PROTOCOL]
PROTOCOLS += [
    pytest.param(program, CLASSIC_SESSION, id=f"classic-{program.name}") for program in CLASSIC_PROTOCOL
]


@pytest.fixture
def group():
    return f"g-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def quick(own_broker):
    return own_broker(*SETTINGS).start()


@pytest.fixture
def start():
    """Starts members, and ends what is left of them."""
    members = []

    def go(program, *arguments):
        members.append(program.start(*arguments))
        return members[-1]

    yield go
    for member in members:
        if member.process.poll() is None:
            member.kill()


def write(broker, topic, first, count):
    records = [
        Record(at % PARTITIONS, 1_700_000_000_000 + at, None, str(at).encode(), [])
        for at in range(first, first + count)
    ]
    RDKAFKA.produce(broker.kafka, topic, records)


def held(*members):
    return [member.assigned or set() for member in members]


def share(topic, *members):
    """Whether the members have all partitions, each one at least and none twice."""
    parts = held(*members)
    everything = {f"{topic}-{partition}" for partition in range(PARTITIONS)}
    return all(parts) and sum(map(len, parts)) == PARTITIONS and set().union(*parts) == everything


def values(*members):
    return [value for member in members for *_, value in member.records]


def settle(broker, topic, *members):
    """Waits until the members share for good: each has committed what it read of a second round. A
    client may join again by itself once it knows more of the topic than when it joined, and does so
    before it reads again; and a commit that meets a rebalance is made with the next round's."""
    for written in range(40, 400, 40):
        write(broker, topic, written - 40, 40)

        def all_is_read():
            return share(topic, *members) and len(set(values(*members))) == written

        wait_until(members, all_is_read, "the members share and read")
        is_committed = seen_soon(members, lambda: all(it.committed == len(it.records) for it in members))
        if is_committed and written > 40:
            return
    raise AssertionError("no round of records was committed by all")


@pytest.mark.parametrize("program, session", PROTOCOLS)
def test_a_member_that_dies_is_taken_over_from_its_last_commit(quick, topic, group, start, program, session):
    RDKAFKA.create(quick.kafka, topic, PARTITIONS)
    write(quick, topic, 0, 400)
    first = start(program, quick.kafka, group, topic, *session)
    wait_until([first], lambda: len(first.records) == 400, "the first reads all alone")
    second = start(program, quick.kafka, group, topic, *session)
    both = [first, second]
    wait_until(both, lambda: first.assigned and second.assigned, "both are given something")
    write(quick, topic, 400, 400)
    wait_until(both, lambda: len(set(values(*both))) == 800, "both read what is new")
    assert len(values(*both)) == 800, "nothing is read twice"
    assert second.records, "the second reads too"

    first.kill()
    write(quick, topic, 800, 400)
    wait_until(both, lambda: len(set(values(*both))) == 1200, "the second takes over")
    uncommitted = set(values(first)[first.committed:])
    twice = [value for value in set(values(*both)) if values(*both).count(value) > 1]
    assert set(twice) <= uncommitted, "nothing is read twice beyond the last commit"

    # Its successor goes on from what it committed.
    second.stop()
    write(quick, topic, 1200, 10)
    third = start(program, quick.kafka, group, topic, *session)
    wait_until([third], lambda: len(third.records) == 10, "the third goes on")
    assert sorted(values(third), key=int) == [str(at) for at in range(1200, 1210)]
    third.stop()


@pytest.mark.parametrize("program, session", PROTOCOLS)
def test_members_go_on_over_a_kill_of_the_broker(quick, topic, group, start, program, session):
    RDKAFKA.create(quick.kafka, topic, PARTITIONS)
    write(quick, topic, 0, 40)
    members = [start(program, quick.kafka, group, topic, *session) for _ in range(2)]
    wait_until(members, lambda: share(topic, *members) and len(set(values(*members))) == 40, "both share")
    quick.kill()
    quick.start()
    write(quick, topic, 40, 40)
    wait_until(members, lambda: len(set(values(*members))) == 80, "both go on")
    for member in members:
        member.stop()


@pytest.mark.parametrize("program, session", PROTOCOLS)
def test_a_static_member_restarts_without_a_rebalance(quick, topic, group, start, program, session):
    if program.name in ("java-2.1", "kafka-python-2.0.2", "kafkajs"):
        pytest.skip("the client knows no static members")
    if program.name == "franz-go" and "group.protocol=consumer" in program.settings:
        pytest.skip("franz-go 1.22 goes away without its instance id, which Kafka refuses too")
    RDKAFKA.create(quick.kafka, topic, PARTITIONS)
    stay = start(program, quick.kafka, group, topic, "group.instance.id=stay", *session)
    leave = start(program, quick.kafka, group, topic, "group.instance.id=leave", *session)
    settle(quick, topic, stay, leave)
    kept, had, told = stay.assigned, leave.assigned, len(stay.lines)
    leave.stop()
    again = start(program, quick.kafka, group, topic, "group.instance.id=leave", *session)
    wait_until([again, stay], lambda: again.assigned == had, "it has what it had")
    assert stay.assigned == kept
    assert stay.lines[told:] == [], "the other one notices nothing"
    again.stop()
    stay.stop()


@pytest.mark.parametrize("client", [FRANZ, KAFKAJS], ids=lambda client: client.name)
def test_the_lag_is_as_the_clients_admin_tells_it(quick, topic, group, start, client):
    def lag():
        told = client.run("lag", quick.kafka, group, topic)
        return {int(partition): int(behind) for partition, behind in (line.split("\t") for line in told)}

    RDKAFKA.create(quick.kafka, topic, PARTITIONS)
    write(quick, topic, 0, 40)
    [program] = [program for program in CLASSIC_PROTOCOL if program.name == client.name]
    member = start(program, quick.kafka, group, topic, *CLASSIC_SESSION)
    wait_until([member], lambda: member.committed == 40, "all is read and committed")
    assert lag() == dict.fromkeys(range(PARTITIONS), 0)
    member.stop()
    write(quick, topic, 40, PARTITIONS * 5 + 1)
    assert lag() == {0: 6, 1: 5, 2: 5, 3: 5}


@pytest.mark.parametrize("program", CONSUMER_PROTOCOL, ids=lambda program: program.name)
def test_a_pattern_takes_in_topics_that_are_made_later(quick, topic, group, start, program):
    RDKAFKA.create(quick.kafka, f"{topic}-1", PARTITIONS)
    # librdkafka's patterns begin with ^ as they are; both send them to the coordinator.
    member = start(program, quick.kafka, group, f"^{topic}-.*")
    wait_until([member], lambda: len(member.assigned or ()) == PARTITIONS, "the first topic")
    RDKAFKA.create(quick.kafka, f"{topic}-2", PARTITIONS)
    wait_until([member], lambda: len(member.assigned) == 2 * PARTITIONS, "the second topic")
    member.stop()


@pytest.mark.parametrize("program", CONSUMER_PROTOCOL, ids=lambda program: program.name)
@pytest.mark.parametrize("assignor", ["uniform", "range"])
def test_the_coordinators_assignors_are_used(quick, topic, group, start, program, assignor):
    RDKAFKA.create(quick.kafka, topic, PARTITIONS)
    wanted = f"group.remote.assignor={assignor}"
    members = [start(program, quick.kafka, group, topic, wanted) for _ in range(3)]
    wait_until(members, lambda: share(topic, *members), "all three share")
    if assignor == "range":
        for part in held(*members):
            numbers = sorted(int(name.rsplit("-", 1)[1]) for name in part)
            assert numbers == list(range(numbers[0], numbers[-1] + 1)), "ranges"
    for member in members:
        member.stop()
