"""Client processes that are killed, and come back under another number."""

import signal
import subprocess
import time
from dataclasses import dataclass
from itertools import count

from harness.clients import CACHE, HERE, python
from transactions.history import load_reader, load_writer

STOP_SECONDS = 60


@dataclass(frozen=True)
class Role:
    """What a client does: its program, with the arguments before and behind the file in which it notes what it does."""

    program: tuple
    before: tuple
    behind: tuple = ()
    takes_name: bool = True
    load: object = load_writer


class Client:
    """One of the clients of a run: a process, and after its death the next one, each with a history of its own."""

    def __init__(self, role, name, directory, chance):
        self.role, self.name = role, name
        self.directory, self.chance = directory, chance
        self.numbers = count()
        self.files = []
        # Transactions of earlier incarnations.
        self.ended = 0
        self.process = None

    def start(self):
        number = next(self.numbers)
        self.ended += self.files[-1][1].count() if self.files else 0
        name = f"{self.name}/{number}"
        path = self.directory / f"{self.name}-{number}.jsonl"
        path.touch()
        self.files.append((path, Progress(path)))
        # A first reader reads from the beginning.
        seed = self.chance.randrange(1, 1 << 31) if number or self.role.takes_name else 0
        named = (name,) if self.role.takes_name else ()
        arguments = [*self.role.before, *named, path, *self.role.behind, seed]
        with open(self.directory / f"{self.name}.log", "ab") as log:
            command = [*self.role.program, *map(str, arguments)]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        return self

    def check_alive(self):
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log()}"

    def kill(self):
        """`kill -9`."""
        self.check_alive()
        self.process.kill()
        self.process.wait()

    def say_where_it_stands(self):
        """For clients that can: what they are doing, by their own account."""
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        return self.log()[-1000:]

    def ask_to_stop(self):
        self.check_alive()
        self.process.stdin.close()

    def wait(self):
        assert self.process.wait(STOP_SECONDS) == 0, f"{self.name} did not end well:\n{self.log()}"

    def wait_or_kill(self, seconds):
        """For one that may be stuck in its library: it has so long to end well, and what it noted counts all the same."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            print(f"{self.name} does not end: {self.say_where_it_stands()}")
            self.kill()
        else:
            self.wait()

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def log(self):
        return (self.directory / f"{self.name}.log").read_text(errors="replace")[-4000:]

    def ended_transactions(self):
        return self.ended + self.files[-1][1].count()

    def load(self, history):
        for number, (path, _) in enumerate(self.files):
            # The incarnations of a writer follow one another; those of a reader have nothing in common.
            name = self.name if self.role.load is load_writer else f"{self.name}/{number}"
            self.role.load(history, name, path)


class Progress:
    """Counts the transactions that a file says have ended, each time only what is new."""

    def __init__(self, path):
        self.path, self.position, self.ended = path, 0, 0

    def count(self):
        with open(self.path, "rb") as file:
            file.seek(self.position)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self.position += len(whole)
        self.ended += whole.count(b'{"ended"')
        return self.ended


def writer(bootstrap, transactional_id, partitions):
    """Through librdkafka, which speaks the first protocol of transactions."""
    program = python("harness", "transactional_writer.py")
    return Role(program, (bootstrap, transactional_id), (",".join(partitions),))


def java_writer(bootstrap, transactional_id, partitions):
    """Through the Java client, which speaks the second one."""
    source = HERE / "java" / "transactions" / "TransactionWriter.java"
    options = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m")
    program = ("java", *options, "-cp", f"{CACHE}/java/new/libs/*", str(source))
    return Role(program, (bootstrap, transactional_id), (",".join(partitions),))


def copier(bootstrap, transactional_id, group, source, target):
    program = python("harness", "transactional_copier.py")
    return Role(program, (bootstrap, transactional_id), (group, source, target))


def reader(bootstrap, partitions):
    program = python("harness", "committed_reader.py")
    return Role(program, (bootstrap,), (",".join(partitions),), takes_name=False, load=load_reader)
