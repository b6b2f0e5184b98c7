"""What clients of a run did and saw, as each of them wrote it down.

A client may be killed at any moment. So it notes what it is about to do before it does it, and how that
ended when it knows; both as lines of JSON in a file of its own, of which the last may be cut off:

    {"begin": 7, "writes": [["a-0", "w1/0/7/0", null], ...]}   PARTITION, value, and what it is a copy of
    {"end": 7, "commit": true}
    {"ended": 7, "outcome": "committed", "offsets": [12, ...]}  where its writes lie, if the client was told
    {"assign": {"a-0": 40, ...}}                                a reader begins at these offsets
    {"read": "a-0", "records": [[40, "w1/0/7/0"], ...]}

Values are unique over all attempts: a value says which transaction wrote it.
"""

import json
from dataclasses import dataclass, field
from typing import NamedTuple

COMMIT, ABORT = "commit", "abort"
COMMITTED, ABORTED = "committed", "aborted"


class Write(NamedTuple):
    partition: str
    value: str
    # The value that this one is a copy of.
    source: str | None = None


@dataclass
class Transaction:
    """One attempt to write several values together."""

    writer: str
    writes: list
    # What its client asked for: COMMIT, ABORT, or nothing before it was gone.
    asked: str | None = None
    # What its client was told: COMMITTED, ABORTED, or nothing.
    outcome: str | None = None
    # Value: offset, as its client was told.
    offsets: dict = field(default_factory=dict)


@dataclass
class Run:
    """What one reader was given of one partition, from an offset on and without a break."""

    reader: str
    partition: str
    start: int
    records: list = field(default_factory=list)  # (offset, value)


@dataclass
class Log:
    """A partition when everything is over, as a read_committed reader sees it from its beginning."""

    records: list  # (offset, value)
    last_stable_offset: int
    high_watermark: int


@dataclass
class History:
    # In the order in which each writer began them.
    transactions: list = field(default_factory=list)
    runs: list = field(default_factory=list)
    logs: dict = field(default_factory=dict)  # by partition
    # Partitions that must hold a copy of each record of another one: {"copies-0": "a-0"}.
    copies: dict = field(default_factory=dict)


def lines(path):
    """The objects of a file, without a line that was cut off by its writer's end."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def load_writer(history, writer, path):
    """Takes in what a process that wrote has noted. Those of one writer must come in their order."""
    by_number = {}
    for event in lines(path):
        if "begin" in event:
            writes = [Write(*write) for write in event["writes"]]
            transaction = by_number[event["begin"]] = Transaction(writer, writes)
            history.transactions.append(transaction)
        elif "end" in event:
            by_number[event["end"]].asked = COMMIT if event["commit"] else ABORT
        elif "ended" in event:
            transaction = by_number[event["ended"]]
            transaction.outcome = event["outcome"]
            told = zip(transaction.writes, event.get("offsets", []), strict=False)
            transaction.offsets = {write.value: offset for write, offset in told if offset is not None}


def load_reader(history, reader, path):
    """Takes in what a process that read has noted."""
    runs = {}
    for event in lines(path):
        if "assign" in event:
            runs = {
                partition: Run(reader, partition, start) for partition, start in event["assign"].items()
            }
            history.runs.extend(runs.values())
        elif "read" in event:
            runs[event["read"]].records.extend((offset, value) for offset, value in event["records"])
