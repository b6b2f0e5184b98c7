"""Every client program, by name: how to run it, and what its library cannot do."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.records import format_record, parse_consumed

HERE = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ["THALWEG_CACHE"])
PYTHON = HERE / "python"
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Client:
    name: str
    command: tuple
    can_consume: bool = True
    can_be_idempotent: bool = True
    # Whether it can send a header whose value is null.
    null_headers: bool = True

    def run(self, command, *arguments, stdin=""):
        done = subprocess.run(
            [*self.command, command, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        assert done.returncode == 0, f"{self.name} {command} failed:\n{done.stderr}{done.stdout}"
        return done.stdout.splitlines()

    def create(self, bootstrap, topic, partitions, **configs):
        pairs = [f"{name.replace('_', '.')}={value}" for name, value in configs.items()]
        self.run("create", bootstrap, topic, partitions, *pairs)

    def delete(self, bootstrap, topic):
        self.run("delete", bootstrap, topic)

    def produce(self, bootstrap, topic, records, codec="none", idempotent=True):
        """Returns (partition, offset) of each delivery, in the order in which they were told."""
        lines = "".join(format_record(record) + "\n" for record in records)
        flag = "true" if idempotent else "false"
        told = self.run("produce", bootstrap, topic, codec, flag, stdin=lines)
        return [tuple(map(int, line.split("\t"))) for line in told]

    def consume(self, bootstrap, topic, partition, offset, count):
        """Returns (offset, record) of each."""
        told = self.run("consume", bootstrap, topic, partition, offset, count)
        return [parse_consumed(line) for line in told]

    def offset(self, bootstrap, topic, partition, timestamp):
        [line] = self.run("offset", bootstrap, topic, partition, timestamp)
        return int(line)


def java(version):
    home = CACHE / "java" / version
    options = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-Xshare:auto")
    return ("java", *options, "-cp", f"{home}/classes:{home}/libs/*", "Client")


def python(environment, program):
    return (str(CACHE / "venvs" / environment / "bin/python"), str(PYTHON / program))


CONFLUENT = Client("confluent-kafka", python("harness", "confluent_client.py"))
KAFKA_PYTHON = Client(
    "kafka-python", python("kafka-python", "kafka_python_client.py"), null_headers=False
)
KAFKA_PYTHON_OLD = Client(
    "kafka-python-2.0.2",
    python("kafka-python-2.0.2", "kafka_python_client.py"),
    can_be_idempotent=False,
    null_headers=False,
)
JAVA = Client("java-4", java("new"))
JAVA_OLD = Client("java-2.1", java("old"))
FRANZ = Client("franz-go", (str(CACHE / "go/franz-client"),))
KAFKAJS = Client(
    "kafkajs", ("node", str(CACHE / "node/client.js")), can_consume=False, null_headers=False
)
RDKAFKA = Client("rdkafka", (str(CACHE / "rust-client/release/rdkafka-client"),))

CLIENTS = [CONFLUENT, KAFKA_PYTHON, KAFKA_PYTHON_OLD, JAVA, JAVA_OLD, FRANZ, KAFKAJS, RDKAFKA]
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def another(client):
    """A quick client in another language: so that none is judged by itself alone."""
    return FRANZ if client in (RDKAFKA, CONFLUENT) else RDKAFKA
