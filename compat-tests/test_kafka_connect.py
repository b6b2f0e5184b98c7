"""Apache Kafka Connect in distributed mode: lines of this project's documentation go from a file into a topic,
exactly once, and from there into another file, while the worker and the broker are killed and restarted."""

import json
import time
import urllib.error
import urllib.request

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from harness.broker import free_port
from harness.clients import CONFLUENT, HERE
from harness.kafka_programs import PATIENCE_SECONDS, PLUGINS, Program, java
from test_transactions import read

BROKER_SETTINGS = [
    "--set=group.initial.rebalance.delay.ms=0",
    "--set=group.min.session.timeout.ms=1000",
]
PARTS = 4


def lines():
    """Numbered, so that none is like another; and ASCII, because Kafka's file source counts letters and skips bytes."""
    pages = [HERE.parent / "README.md", *sorted((HERE.parent / "docs").glob("*.md"))]
    text = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    return [f"{number} {line}" for number, line in enumerate(line for line in text if line.isascii())]


class Worker(Program):
    """A worker of a cluster of its own. What it keeps lies in the broker: topics whose names begin as asked."""

    def __init__(self, broker, name, folder):
        self.broker = broker
        self.address = f"http://127.0.0.1:{free_port()}"
        # The last error that it answered.
        self.refusal = None
        settings = {
            "bootstrap.servers": broker.kafka,
            "group.id": name,
            "listeners": self.address,
            "plugin.path": PLUGINS,
            "plugin.discovery": "service_load",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "exactly.once.source.support": "enabled",
            "consumer.isolation.level": "read_committed",
            "offset.flush.interval.ms": 500,
            # A dead worker is missed soon.
            "scheduled.rebalance.max.delay.ms": 0,
            "session.timeout.ms": 3000,
            "heartbeat.interval.ms": 500,
            "consumer.session.timeout.ms": 3000,
            "consumer.heartbeat.interval.ms": 500,
        }
        for kind in ("config", "offset", "status"):
            settings[f"{kind}.storage.topic"] = f"{name}-{kind}"
            settings[f"{kind}.storage.replication.factor"] = 1
        path = folder / "worker.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        program = java("org.apache.kafka.connect.cli.ConnectDistributed", path, folder=folder)
        super().__init__(program, folder / "worker.log")

    def ask(self, method, path, body=None):
        """What it answers; None while it does not, or refuses as it does while it starts or rebalances."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            self.refusal = f"{method} {path}: {error.code} {error.read().decode()}"
            return None
        except OSError:
            return None

    def insist(self, method, path, body=None):
        return self.wait(lambda: self.ask(method, path, body), f"{method} {path}")

    def wait(self, condition, what):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (result := condition()) in (None, False):
            assert self.runs(), f"the worker ended ({self.process.returncode}):\n{self.said()}"
            assert time.monotonic() < deadline, f"not seen: {what}\n{self.refusal}\n{self.said()[-10_000:]}"
            time.sleep(0.1)
        return result


@pytest.fixture
def worker(own_broker, topic, tmp_path):
    broker = own_broker(*BROKER_SETTINGS).start()
    worker = Worker(broker, f"connect-{topic}", tmp_path)
    yield worker
    if worker.runs():
        worker.kill()


class Files:
    """The file that the source reads, and the one that the sink writes."""

    def __init__(self, folder):
        self.source, self.sink = folder / "source.txt", folder / "sink.txt"
        self.source.touch()

    def add(self, part):
        with open(self.source, "a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in part)

    def arrived(self):
        return self.sink.read_text(encoding="utf-8").splitlines() if self.sink.exists() else []

    def has(self, line):
        return lambda: line in self.arrived()


def connect(worker, files, topic):
    plugin = "org.apache.kafka.connect.file.FileStream"
    connectors = {
        "from": {"connector.class": f"{plugin}SourceConnector", "file": str(files.source), "topic": topic},
        "to": {"connector.class": f"{plugin}SinkConnector", "file": str(files.sink), "topics": topic},
    }
    for name, config in connectors.items():
        worker.insist("PUT", f"/connectors/{name}/config", config | {"tasks.max": "1"})


def test_lines_go_from_file_to_file_over_kills_of_worker_and_broker(worker, topic, tmp_path):
    broker, files, text = worker.broker, Files(tmp_path), lines()
    first, second, third, fourth = (
        text[len(text) * at // PARTS : len(text) * (at + 1) // PARTS] for at in range(PARTS)
    )
    CONFLUENT.create(broker.kafka, topic, 1)
    worker.start()
    connect(worker, files, topic)
    files.add(first)
    worker.wait(files.has(first[-1]), "the first part in the sink")

    # The worker dies at work, the broker while it is at work, and both stop in good order.
    files.add(second)
    worker.wait(files.has(second[0]), "the beginning of the second part")
    worker.kill()
    worker.start()
    worker.wait(files.has(second[-1]), "the second part")
    files.add(third)
    worker.wait(files.has(third[0]), "the beginning of the third part")
    broker.kill()
    broker.start()
    worker.wait(files.has(third[-1]), "the third part")
    assert worker.stop() == 143 and broker.stop() == 0, worker.said()
    broker.start()
    worker.start()
    files.add(fourth)
    worker.wait(files.has(fourth[-1]), "the fourth part")

    # Exactly once into the topic; into the file at least once, and in order but for what comes again.
    assert read(broker.kafka, topic, 1) == {0: text}
    assert list(dict.fromkeys(files.arrived())) == text
    for kind in ("config", "offset", "status"):
        assert policy(broker, f"connect-{topic}-{kind}") == "compact"
    position, end = files.source.stat().st_size, log_end(broker, topic)
    worker.wait(lambda: offsets(worker, "from") == [{"position": position}], "the source's offset")
    # The last record is before the marker of its transaction.
    worker.wait(lambda: [at["kafka_offset"] >= end - 1 for at in offsets(worker, "to")] == [True], "the sink's")
    send_back(worker, files)
    worker.wait(files.has(text[-1]), "everything once more")
    assert files.arrived() == text
    assert worker.stop() == 143 and broker.stop() == 0


def send_back(worker, files):
    """Stops the sink, and lets it begin again."""
    worker.insist("PUT", "/connectors/to/stop")
    worker.wait(lambda: state(worker, "to") == "STOPPED", "the sink stopped")
    files.sink.unlink()
    worker.insist("DELETE", "/connectors/to/offsets")
    worker.insist("PUT", "/connectors/to/resume")


def offsets(worker, connector):
    told = worker.ask("GET", f"/connectors/{connector}/offsets")
    return [entry["offset"] for entry in told["offsets"]] if told else []


def state(worker, connector):
    told = worker.ask("GET", f"/connectors/{connector}/status")
    return told and told["connector"]["state"]


def log_end(broker, topic):
    consumer = Consumer({"bootstrap.servers": broker.kafka, "group.id": "reader"})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), 30)
    consumer.close()
    return end


def policy(broker, topic):
    resource = ConfigResource(ResourceType.TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": broker.kafka})
    [told] = admin.describe_configs([resource]).values()
    return told.result(30)["cleanup.policy"].value
