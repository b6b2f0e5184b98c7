"""kcat, the command line that people try first."""

import json
import subprocess

import pytest

from harness.clients import CODECS


def kcat(broker, *arguments, stdin=b""):
    command = ["kcat", "-b", broker.kafka, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_it_lists_the_broker_and_its_topics(broker, topic):
    kcat(broker, "-P", "-t", topic, stdin=b"auto-created\n")

    listed = json.loads(kcat(broker, "-L", "-J"))

    assert len(listed["brokers"]) == 1
    assert listed["brokers"][0]["name"] == broker.kafka
    assert topic in [one["topic"] for one in listed["topics"]]


@pytest.mark.parametrize("idempotent", ["true", "false"])
@pytest.mark.parametrize("codec", CODECS)
def test_lines_go_in_and_come_out(broker, topic, codec, idempotent):
    lines = b"".join(b"key-%d:value %d\n" % (i, i) for i in range(1000))

    options = ["-z", codec, "-X", f"enable.idempotence={idempotent}", "-p", "0", "-K", ":"]
    kcat(broker, "-P", "-t", topic, *options, stdin=lines)

    read = kcat(broker, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-K", ":")
    assert read == lines


def test_it_reads_from_an_offset_to_another_and_by_time(broker, topic):
    kcat(broker, "-P", "-t", topic, "-p", "0", stdin=b"".join(b"%d\n" % i for i in range(100)))

    tail = kcat(broker, "-C", "-t", topic, "-p", "0", "-o", "-10", "-e", "-q")
    part = kcat(broker, "-C", "-t", topic, "-p", "0", "-o", "50", "-c", "3", "-q")
    since = kcat(broker, "-C", "-t", topic, "-p", "0", "-o", "s@1000", "-o", "e@1001", "-e", "-q")
    end = kcat(broker, "-Q", "-t", f"{topic}:0:-1")

    assert tail.split() == [b"%d" % i for i in range(90, 100)]
    assert part.split() == [b"50", b"51", b"52"]
    assert since == b""
    assert b"offset 100" in end


def test_headers_and_tombstones(broker, topic):
    kcat(broker, "-P", "-t", topic, "-p", "0", "-K", ":", "-H", "why=test", "-Z", stdin=b"gone:\n")

    [line] = kcat(broker, "-C", "-t", topic, "-p", "0", "-e", "-q", "-J").splitlines()

    record = json.loads(line)
    assert record["key"] == "gone"
    assert record["payload"] is None
    assert record["headers"] == ["why", "test"]
