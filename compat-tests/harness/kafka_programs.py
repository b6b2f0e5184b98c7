"""Apache Kafka's own programs, from its jars: the command-line tools, and what runs until it is stopped."""

import json
import queue
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness.clients import CACHE, HERE

HOME = CACHE / "apache-kafka"
PLUGINS = HOME / "plugins"
# More than the minute after which an admin client gives up.
PATIENCE_SECONDS = 90
OPTIONS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-Xshare:auto")


def java(main_class, *arguments, folder=None):
    """The command line of a program. What it unpacks goes into a folder: one that is killed leaves it behind."""
    options = [f"-Dlog4j2.configurationFile={HERE}/apache-kafka/log4j2.properties"]
    options += [] if folder is None else [f"-Djava.io.tmpdir={folder}"]
    class_path = f"{HOME}/classes:{HOME}/libs/*"
    return ["java", *OPTIONS, *options, "-cp", class_path, main_class, *map(str, arguments)]


@dataclass(frozen=True)
class Done:
    """How a tool ended, and what it said."""

    code: int
    out: str
    err: str

    def __str__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"

    def rows(self, first):
        """The rows of the table whose header begins with a word, as dicts. A value has no blanks."""
        lines = [line.split() for line in self.out.splitlines() if line.strip()]
        [at] = [index for index, words in enumerate(lines) if words[0] == first]
        header = lines[at]
        return [dict(zip(header, words)) for words in lines[at + 1 :]]


class Tools:
    """Runs tools in one Java process (apache-kafka/ToolRunner.java), started when it is first needed."""

    NAMES = {
        "kafka-acls": "org.apache.kafka.tools.AclCommand",
        "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
        "kafka-configs": "kafka.admin.ConfigCommand",
        "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
        "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
        "kafka-features": "org.apache.kafka.tools.FeatureCommand",
        "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
        "kafka-groups": "org.apache.kafka.tools.GroupsCommand",
        "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
        "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
        "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
        "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
        "kafka-topics": "org.apache.kafka.tools.TopicCommand",
        "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
        "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
        "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    }

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.process = None
        self.answers = None

    def run(self, tool, *arguments, stdin=""):
        """Runs a tool against the broker. One that does not end is a failure."""
        if self.process is None:
            self._start()
        request = {
            "tool": self.NAMES[tool],
            "arguments": ["--bootstrap-server", self.bootstrap, *map(str, arguments)],
            "stdin": stdin,
        }
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        try:
            answer = self.answers.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            self.close()
            raise AssertionError(f"{tool} {' '.join(map(str, arguments))} does not end") from None
        assert answer is not None, f"{tool} has ended the process"
        return Done(**json.loads(answer))

    def good(self, tool, *arguments, stdin=""):
        """The same for a tool that is to succeed. (Not all of them tell by their exit code.)"""
        done = self.run(tool, *arguments, stdin=stdin)
        assert done.code == 0 and "Error: " not in done.out, f"{tool} {arguments}: {done}"
        return done

    def alone(self, tool, *arguments):
        """Runs one that is to succeed in a process of its own: the verifiable programs end with Java's own hooks."""
        program = java(self.NAMES[tool], "--bootstrap-server", self.bootstrap, *arguments)
        done = subprocess.run(
            program, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
        assert done.returncode == 0, f"{tool} {arguments}: {done}"
        return Done(done.returncode, done.stdout, done.stderr)

    def _start(self):
        self.process = subprocess.Popen(
            java("ToolRunner"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.answers = queue.Queue()
        reader = threading.Thread(target=self._read, args=(self.process, self.answers), daemon=True)
        reader.start()

    @staticmethod
    def _read(process, answers):
        for line in process.stdout:
            answers.put(line)
        answers.put(None)

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Program:
    """A program that runs until it is stopped, and may be started again. What it says goes to a file."""

    def __init__(self, command, log):
        self.command = command
        self.log = Path(log)
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def kill(self):
        """`kill -9`."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Asks it to end, and returns the exit code: 143 is Java's after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_until_it_says(self, text):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.said():
            assert self.runs(), f"it ended ({self.process.returncode}):\n{self.said()}"
            assert time.monotonic() < deadline, f"it does not say {text!r}:\n{self.said()}"
            time.sleep(0.05)
