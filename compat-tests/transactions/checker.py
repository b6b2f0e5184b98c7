"""Holds a history against what transactions promise. Pure: a history in, problems out.

After Jepsen's workload for Kafka, whose names for what goes wrong are used. `RULES` is the list of what
is looked for; each is a function that yields one text per finding.
"""

from bisect import bisect_left
from collections import defaultdict
from typing import NamedTuple

from transactions.history import ABORTED, COMMIT, COMMITTED, Run

AT_THE_END = "the end"


class Problem(NamedTuple):
    kind: str
    what: str

    def __str__(self):
        return f"{self.kind}: {self.what}"


class Written(NamedTuple):
    """Where a value comes from."""

    transaction: object
    write: object
    # Its place among all that its writer wrote.
    order: tuple


class Index:
    """A history, arranged for the rules."""

    def __init__(self, history):
        self.history = history
        self.transactions = history.transactions
        # Every reading of every partition; the last one is a reading like the others.
        last = [Run(AT_THE_END, name, 0, log.records) for name, log in history.logs.items()]
        self.runs = [*history.runs, *last]
        self.final = {name: dict(log.records) for name, log in history.logs.items()}
        self.written = {}  # by value
        for number, transaction in enumerate(history.transactions):
            for place, write in enumerate(transaction.writes):
                assert write.value not in self.written, f"{write.value} is written twice"
                self.written[write.value] = Written(transaction, write, (number, place))
        self.places = defaultdict(set)  # of each value: (partition, offset)
        self.values = defaultdict(dict)  # at each (partition, offset): value: a reader of it
        for run in self.runs:
            for offset, value in run.records:
                self.places[value].add((run.partition, offset))
                self.values[run.partition, offset].setdefault(value, run.reader)

    def is_at_the_end(self, write):
        return any(
            partition == write.partition and self.final.get(partition, {}).get(offset) == write.value
            for partition, offset in self.places.get(write.value, ())
        )


def lost_write(index):
    """What was confirmed, or was seen by anybody, is there at the end."""
    for transaction in index.transactions:
        for write in transaction.writes if transaction.outcome == COMMITTED else []:
            if not index.is_at_the_end(write):
                yield f"{write.value} was committed by {transaction.writer} and is not in {write.partition}"
    for (partition, offset), values in index.values.items():
        if offset not in index.final.get(partition, {}):
            for value, reader in values.items():
                yield f"{value} was seen by {reader} at {partition} offset {offset} and is gone"


def aborted_read(index):
    """Nobody sees a value of a transaction that was aborted, or whose commit nobody had asked for."""
    for value, places in index.places.items():
        written = index.written.get(value)
        if written is None:
            yield f"{value} is at {sorted(places)}, and nobody wrote it"
        elif written.transaction.outcome == ABORTED:
            yield f"{value} is at {sorted(places)}, and its transaction was aborted"
        elif written.transaction.asked != COMMIT:
            yield f"{value} is at {sorted(places)}, and nobody asked to commit it"


def torn_transaction(index):
    """At the end, all of a transaction is there or nothing, over all partitions."""
    for transaction in index.transactions:
        missing = [write for write in transaction.writes if not index.is_at_the_end(write)]
        if missing and len(missing) < len(transaction.writes):
            there = len(transaction.writes) - len(missing)
            yield f"{there} of {len(transaction.writes)} values are there, {missing[0].value} is not"


def duplicate(index):
    """A value is at one place."""
    for value, places in index.places.items():
        if len(places) > 1:
            yield f"{value} is at {sorted(places)}"


def misplaced(index):
    """A value is where it was written to, at the offset that its writer was told."""
    for value, places in index.places.items():
        written = index.written.get(value)
        for partition, offset in places if written else ():
            told = written.transaction.offsets.get(value, offset)
            if partition != written.write.partition or offset != told:
                yield f"{value} is at {partition} offset {offset}, not at {written.write.partition} offset {told}"


def divergent_offset(index):
    """Whoever reads an offset finds the same value there."""
    for (partition, offset), values in index.values.items():
        if len(values) > 1:
            yield f"{partition} offset {offset} held {values}"


def out_of_order(index):
    """Offsets rise for every reader, and so do the values of each writer."""
    for run in index.runs:
        last_offset = run.start - 1
        last_of_writer = {}
        for offset, value in run.records:
            if offset <= last_offset:
                yield f"{run.reader} is given {run.partition} offset {offset} after {last_offset}"
            last_offset = offset
            if written := index.written.get(value):
                writer, order = written.transaction.writer, written.order
                before = last_of_writer.get(writer, ((-1, 0), value))
                if order < before[0]:
                    yield f"{run.reader} is given {value} after {before[1]} of {run.partition}"
                last_of_writer[writer] = (order, value)


def skipped(index):
    """A reader passes nothing over that is there at the end."""
    for run in index.runs:
        if run.reader == AT_THE_END or not run.records:
            continue
        seen = {offset for offset, _ in run.records}
        there = index.history.logs[run.partition].records
        first, last = bisect_left(there, (run.start,)), bisect_left(there, (max(seen),))
        for offset, value in there[first:last]:
            if offset not in seen:
                yield f"{run.reader} was never given {value} at {run.partition} offset {offset}"


def hanging_transaction(index):
    """When every producer has ended, nothing is open: all of a partition is stable."""
    for name, log in index.history.logs.items():
        if log.last_stable_offset != log.high_watermark:
            yield f"{name} is stable up to {log.last_stable_offset} and ends at {log.high_watermark}"


def inexact_copy(index):
    """What was read and written in one transaction with the reader's offset is there exactly once, in order."""
    for copy, original in index.history.copies.items():
        wanted = [value for _, value in index.history.logs[original].records]
        known = (index.written.get(value) for _, value in index.history.logs[copy].records)
        found = [written.write.source for written in known if written]
        if wanted == found:
            continue
        if lost := set(wanted) - set(found):
            yield f"{len(lost)} records of {original} have no copy in {copy}: {min(lost)}"
        if len(found) > len(set(found)):
            twice = next(source for source in found if found.count(source) > 1)
            yield f"{len(found) - len(set(found))} records of {original} are in {copy} again: {twice}"
        if unknown := set(found) - set(wanted):
            yield f"{copy} has copies of what is not in {original}: {min(unknown)}"
        if sorted(wanted) == sorted(found):
            place = next(place for place, pair in enumerate(zip(wanted, found, strict=True)) if pair[0] != pair[1])
            yield f"{copy} has {found[place]} where {original} has {wanted[place]}"


RULES = [
    lost_write,
    aborted_read,
    torn_transaction,
    duplicate,
    misplaced,
    divergent_offset,
    out_of_order,
    skipped,
    hanging_transaction,
    inexact_copy,
]


def check(history):
    """Every problem of a history, by rule."""
    index = Index(history)
    return [Problem(rule.__name__.replace("_", " "), what) for rule in RULES for what in rule(index)]
