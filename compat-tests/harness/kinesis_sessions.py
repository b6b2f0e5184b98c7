"""AWS's SDKs behind one set of commands (README.md): each is a process that reads commands and prints answers."""

import subprocess
from dataclasses import dataclass

from harness.clients import CACHE, java

SDKS = {
    "java-sync": (*java("new")[:-1], "KinesisSession", "{endpoint}", "sync"),
    "java-async": (*java("new")[:-1], "KinesisSession", "{endpoint}", "async"),
    "node": ("node", "--no-warnings", str(CACHE / "node/kinesis_session.js"), "{endpoint}"),
    "go": (str(CACHE / "go/franz-client"), "kinesis", "{endpoint}"),
    "rust": (str(CACHE / "kinesis-rust/debug/kinesis-session"), "{endpoint}"),
}


class KinesisError(Exception):
    """What the SDK made of an error answer."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


@dataclass(frozen=True)
class Record:
    sequence: str
    key: str
    data: bytes
    time_ms: int


@dataclass(frozen=True)
class Shard:
    name: str
    parents: tuple
    first_key: int
    last_key: int
    is_open: bool


class KinesisSession:
    """One SDK's client, for as long as a test needs it."""

    def __init__(self, sdk, endpoint):
        self.sdk = sdk
        command = [word.format(endpoint=endpoint) for word in SDKS[sdk]]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait(20)

    def ask(self, *words):
        """The lines of the answer, each cut at its tabs."""
        self._process.stdin.write("\t".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        lines = []
        for line in self._process.stdout:
            if line == ".\n":
                break
            lines.append(tuple(line.rstrip("\n").split("\t")))
        else:
            raise AssertionError(f"{self.sdk} ended with {self._process.wait(20)} at {words}")
        if lines and lines[0][0] == "error":
            raise KinesisError(*lines[0][1:])
        return lines

    def put(self, stream, key, data, hash_key=None):
        """Gives shard and sequence number."""
        [told] = self.ask("put", stream, key, hash_key or "-", data.hex())
        return told

    def puts(self, stream, records):
        """Records are keys and data; gives shard and sequence number of each."""
        words = [word for key, data in records for word in (key, "-", data.hex())]
        return self.ask("puts", stream, *words)

    def shards(self, stream):
        return [
            Shard(name, tuple(filter(None, parents.split(","))), int(first), int(last), state == "open")
            for name, parents, first, last, state in self.ask("shards", stream)
        ]

    def iterator(self, stream, shard, kind, *where):
        [[iterator]] = self.ask("iterator", stream, shard, kind, *where)
        return iterator

    def records(self, iterator, limit=10_000):
        """Gives records, the next iterator or None, and the names of the child shards."""
        [[following, _behind_ms, children], *lines] = self.ask("records", iterator, limit)
        following = None if following == "-" else following
        return records_of(lines), following, list(filter(None, children.split(",")))

    def subscribe(self, consumer, shard, count):
        """The first records of a shard, pushed."""
        return records_of(self.ask("subscribe", consumer, shard, count))


def records_of(lines):
    return [Record(sequence, key, bytes.fromhex(data), int(ms)) for sequence, key, data, ms in lines]
