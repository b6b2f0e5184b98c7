"""The checker finds what is wrong: a run that was right, broken in one way at a time."""

import copy
import json
import random

import pytest

from transactions.checker import RULES, check
from transactions.history import (
    ABORT,
    ABORTED,
    COMMIT,
    COMMITTED,
    History,
    Log,
    Run,
    Transaction,
    Write,
    load_reader,
    load_writer,
)


def right():
    """Three transactions over two partitions, committed, aborted and committed without an answer, and one that
    was left open and aborted by its successor; a copy of one partition; markers take an offset each."""
    history = History(
        transactions=[
            Transaction("w", [Write("a-0", "v1"), Write("a-1", "v2")], COMMIT, COMMITTED, {"v1": 0, "v2": 0}),
            Transaction("w", [Write("a-0", "v3"), Write("a-1", "v4")], ABORT, ABORTED),
            Transaction("x", [Write("a-0", "v5"), Write("a-0", "v6"), Write("a-1", "v7")], COMMIT),
            Transaction("w", [Write("a-1", "v8")]),
            Transaction("c", [Write("copy-0", "v1 again", "v1")], COMMIT, COMMITTED),
            Transaction("c", [Write("copy-0", "v5 given up", "v5"), Write("copy-0", "v6 given up", "v6")], ABORT),
            Transaction("c", [Write("copy-0", "v5 again", "v5"), Write("copy-0", "v6 again", "v6")], COMMIT, COMMITTED),
        ],
        logs={
            "a-0": Log([(0, "v1"), (4, "v5"), (5, "v6")], 7, 7),
            "a-1": Log([(0, "v2"), (4, "v7")], 8, 8),
            "copy-0": Log([(0, "v1 again"), (5, "v5 again"), (6, "v6 again")], 8, 8),
        },
        runs=[
            Run("r", "a-0", 0, [(0, "v1"), (4, "v5"), (5, "v6")]),
            Run("r", "a-1", 0, [(0, "v2")]),
            Run("s", "a-0", 3, [(4, "v5")]),
        ],
        copies={"copy-0": "a-0"},
    )
    return history


def kinds(history):
    return {problem.kind for problem in check(history)}


def test_a_right_history_has_no_problems():
    assert check(right()) == []


def lose_a_committed_write(history):
    history.logs["a-1"].records.remove((0, "v2"))
    history.runs[1].records.clear()


def lose_what_was_seen_of_an_unanswered_commit(history):
    for name, records in {"a-0": [(4, "v5"), (5, "v6")], "a-1": [(4, "v7")]}.items():
        for record in records:
            history.logs[name].records.remove(record)
    history.copies.clear()


def show_an_aborted_value(history):
    history.runs[0].records.insert(1, (2, "v3"))


def show_a_value_whose_commit_nobody_asked_for(history):
    history.logs["a-1"].records.append((6, "v8"))


def show_a_value_of_nobody(history):
    history.logs["a-1"].records.append((6, "v9"))


def tear_an_unanswered_transaction(history):
    history.logs["a-1"].records.remove((4, "v7"))


def write_twice(history):
    history.logs["a-1"].records.append((5, "v7"))


def write_elsewhere(history):
    history.logs["a-0"].records.remove((0, "v1"))
    history.logs["a-0"].records.insert(0, (1, "v1"))
    history.runs[0].records[0] = (1, "v1")


def write_to_another_partition(history):
    history.logs["a-1"].records.remove((4, "v7"))
    history.logs["a-0"].records.append((6, "v7"))


def show_two_values_at_one_offset(history):
    history.runs[2].records[0] = (4, "v6")


def go_back(history):
    history.runs[0].records.append((4, "v5"))


def swap_two_values_of_a_writer(history):
    swapped = [(0, "v1"), (4, "v6"), (5, "v5")]
    history.logs["a-0"].records[:] = swapped
    history.runs[0].records[:] = swapped
    history.runs.pop()


def pass_a_value_over(history):
    history.runs[0].records.remove((4, "v5"))


def leave_a_transaction_open(history):
    history.logs["a-1"].last_stable_offset = 6


def leave_a_record_uncopied(history):
    history.transactions[-3].outcome = None
    history.logs["copy-0"].records.pop(0)


def copy_twice(history):
    history.transactions[-2].asked = COMMIT
    history.logs["copy-0"].records[1:1] = [(2, "v5 given up"), (3, "v6 given up")]


def copy_in_another_order(history):
    history.transactions[-1].writes.reverse()
    history.logs["copy-0"].records[1:] = [(5, "v6 again"), (6, "v5 again")]


BROKEN = [
    (lose_a_committed_write, {"lost write", "torn transaction"}),
    (lose_what_was_seen_of_an_unanswered_commit, {"lost write"}),
    (show_an_aborted_value, {"aborted read", "lost write"}),
    (show_a_value_whose_commit_nobody_asked_for, {"aborted read"}),
    (show_a_value_of_nobody, {"aborted read"}),
    (tear_an_unanswered_transaction, {"torn transaction"}),
    (write_twice, {"duplicate"}),
    (write_elsewhere, {"misplaced"}),
    (write_to_another_partition, {"misplaced", "torn transaction", "inexact copy"}),
    (show_two_values_at_one_offset, {"divergent offset", "duplicate"}),
    (go_back, {"out of order"}),
    (swap_two_values_of_a_writer, {"out of order", "inexact copy"}),
    (pass_a_value_over, {"skipped"}),
    (leave_a_transaction_open, {"hanging transaction"}),
    (leave_a_record_uncopied, {"inexact copy"}),
    (copy_twice, {"inexact copy"}),
    (copy_in_another_order, {"inexact copy"}),
]


@pytest.mark.parametrize(("break_it", "expected"), BROKEN, ids=lambda it: getattr(it, "__name__", ""))
def test_what_is_broken_is_found_by_its_name(break_it, expected):
    history = right()
    break_it(history)
    assert kinds(history) == expected


def test_every_rule_is_shown_to_find_something():
    shown = set().union(*(expected for _, expected in BROKEN))
    assert shown == {rule.__name__.replace("_", " ") for rule in RULES}


def simulated(seed):
    """A longer run of a broker that does everything right: interleaved transactions, markers, readers."""
    chance = random.Random(seed)
    history, logs, ends = History(), {f"a-{n}": [] for n in range(3)}, dict.fromkeys(["a-0", "a-1", "a-2"], 0)
    for number in range(chance.randrange(5, 60)):
        count = chance.randrange(1, 6)
        writes = [Write(chance.choice(list(logs)), f"{number}/{place}") for place in range(count)]
        commit = chance.random() < 0.7
        answered = chance.random() < 0.8
        outcome = (COMMITTED if commit else ABORTED) if answered else None
        history.transactions.append(Transaction("w", writes, COMMIT if commit else ABORT, outcome))
        for partition, value, _ in writes:
            if commit:
                logs[partition].append((ends[partition], value))
            ends[partition] += 1
        for partition in {write.partition for write in writes}:
            ends[partition] += 1
    history.logs = {name: Log(records, ends[name], ends[name]) for name, records in logs.items()}
    for reader in ("r", "s"):
        for name, records in logs.items():
            start, length = chance.randrange(20), chance.randrange(30)
            seen = [record for record in records if record[0] >= start][:length]
            history.runs.append(Run(reader, name, start, seen))
    return history


@pytest.mark.parametrize("seed", range(30))
def test_a_long_right_history_has_no_problems_and_loses_nothing_unseen(seed):
    history = simulated(seed)
    assert check(history) == []
    name, log = max(history.logs.items(), key=lambda item: len(item[1].records))
    place = random.Random(seed).randrange(len(log.records))
    for change in ("drop", "double", "replace"):
        broken = copy.deepcopy(history)
        records = broken.logs[name].records
        offset, value = records[place]
        sure = next(it for it in broken.transactions if any(write.value == value for write in it.writes))
        sure.outcome = COMMITTED
        if change == "drop":
            del records[place]
        elif change == "double":
            records.append((broken.logs[name].high_watermark, value))
        else:
            records[place] = (offset, "something else")
        assert kinds(broken), change


def test_files_are_read_back_and_a_line_that_was_cut_off_is_passed_over(tmp_path):
    def write(name, events, cut):
        path = tmp_path / name
        path.write_text("".join(json.dumps(event) + "\n" for event in events) + cut)
        return path

    writer = write(
        "writer",
        [
            {"begin": 1, "writes": [["a-0", "v1", None], ["a-1", "v2", None]]},
            {"end": 1, "commit": True},
            {"ended": 1, "outcome": "committed", "offsets": [0, None]},
            {"begin": 2, "writes": [["a-0", "v3", "v1"]]},
            {"end": 2, "commit": False},
        ],
        '{"ended": 2, "outc',
    )
    reader = write("reader", [{"assign": {"a-0": 0}}, {"read": "a-0", "records": [[0, "v1"]]}], '{"re')
    history = History()
    load_writer(history, "w", writer)
    load_reader(history, "r", reader)
    assert history.transactions == [
        Transaction("w", [Write("a-0", "v1"), Write("a-1", "v2")], COMMIT, COMMITTED, {"v1": 0}),
        Transaction("w", [Write("a-0", "v3", "v1")], ABORT),
    ]
    assert history.runs == [Run("r", "a-0", 0, [(0, "v1")])]
