"""Members of consumer groups: client programs that run until they are told to stop."""

import queue
import subprocess
import threading
import time
from dataclasses import dataclass

from harness.clients import CACHE, FRANZ, java, python

PATIENCE_SECONDS = 90


@dataclass(frozen=True)
class MemberProgram:
    name: str
    command: tuple
    # What it calls the way in which it divides partitions.
    settings: tuple = ()

    def start(self, bootstrap, group, topic, *settings):
        return Member(self, [bootstrap, group, topic, *self.settings, *settings])


class Member:
    """One running member. What it says is read by a thread of its own, in order."""

    def __init__(self, program, arguments):
        self.name = program.name
        self.process = subprocess.Popen(
            [*program.command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = queue.Queue()
        self.errors = []
        self.assigned = None
        # (topic, partition, offset, value), and how many of them are committed for certain.
        self.records = []
        self.committed = 0
        self.lines = []
        for stream, take in ((self.process.stdout, self.said.put), (self.process.stderr, self.errors.append)):
            threading.Thread(target=self._read, args=(stream, take), daemon=True).start()

    @staticmethod
    def _read(stream, take):
        for line in stream:
            take(line.rstrip("\n"))

    def listen(self):
        """Takes in what it has said until now."""
        while True:
            try:
                line = self.said.get_nowait()
            except queue.Empty:
                return
            self.lines.append(line)
            word, _, rest = line.partition("\t")
            if word == "assigned":
                self.assigned = set(filter(None, rest.split(",")))
            elif word == "record":
                topic, partition, offset, value = rest.split("\t")
                self.records.append((topic, int(partition), int(offset), value))
            elif word == "committed":
                self.committed = len(self.records)
            elif word == "lost":
                self.assigned = set()

    def stop(self):
        """Ends it in good order: it leaves its group."""
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(PATIENCE_SECONDS)
        assert self.process.returncode == 0, self.story()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def story(self):
        return "\n".join([self.name, *self.lines[-50:], *self.errors[-50:]])


def seen_soon(members, condition, patience_seconds=2):
    """Whether members say something before patience ends."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        for member in members:
            member.listen()
        if condition():
            return True
        time.sleep(0.1)
    return False


def wait_until(members, condition, what):
    """Waits for something that members say."""
    if seen_soon(members, condition, PATIENCE_SECONDS):
        return
    raise AssertionError("\n\n".join([f"not seen: {what}", *(m.story() for m in members)]))


def _java(version):
    return (*java(version)[:-1], "GroupMember")


_CONFLUENT = python("harness", "confluent_group_member.py")
_FRANZ = (*FRANZ.command, "member")

# Every client that can be a member, by protocol.
CONSUMER_PROTOCOL = [
    MemberProgram("java-4", _java("new"), ("group.protocol=consumer",)),
    MemberProgram("confluent-kafka", _CONFLUENT, ("group.protocol=consumer",)),
    MemberProgram("franz-go", _FRANZ, ("group.protocol=consumer",)),
]
CLASSIC_PROTOCOL = [
    MemberProgram("java-4", _java("new"), ("group.protocol=classic",)),
    MemberProgram("java-2.1", _java("old")),
    MemberProgram("confluent-kafka", _CONFLUENT),
    MemberProgram(
        "confluent-kafka-cooperative",
        _CONFLUENT,
        ("partition.assignment.strategy=cooperative-sticky",),
    ),
    MemberProgram("kafka-python", python("kafka-python", "kafka_python_group_member.py")),
    MemberProgram("kafka-python-2.0.2", python("kafka-python-2.0.2", "kafka_python_group_member.py")),
    MemberProgram("franz-go", _FRANZ),
    MemberProgram("franz-go-range", _FRANZ, ("partition.assignment.strategy=range",)),
    MemberProgram("kafkajs", ("node", str(CACHE / "node/group_member.js"))),
]
