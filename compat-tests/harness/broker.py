"""A broker under test: its process, its ports, its data."""

import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 20
# Below Linux's ip_local_port_range.
PORTS = (12_000, 32_000)
# Test processes that run at the same time draw from ports of their own: one that is free when one of them looks
# could otherwise be taken by another before its broker listens.
SLICES = 10


def binary():
    if chosen := os.environ.get("THALWEG_BINARY"):
        return chosen
    return str(Path(os.environ["CARGO_TARGET_DIR"]) / "release" / "thalweg")


def _slice():
    """The ports of this process: a worker's of pytest-xdist (gw0, gw1, ...), or the last ones."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", f"gw{SLICES - 1}")
    first, end = PORTS
    size = (end - first) // SLICES
    first += int(worker.removeprefix("gw")) % SLICES * size
    return first, first + size


def free_port():
    """A port that nobody listens on, and that the kernel gives to no outgoing connection: while the broker is
    down, a client that tries again and again would sooner or later be given the very port it connects to, and so
    be connected with itself."""
    while True:
        port = random.randrange(*_slice())
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def free_ports(count):
    """So many, all different: one that is free may well be drawn twice."""
    ports = set()
    while len(ports) < count:
        ports.add(free_port())
    return ports


class Broker:
    """Started on free loopback ports; the ports stay the same over restarts."""

    def __init__(self, data_dir, *arguments, log=None, prefix=()):
        self.data_dir = Path(data_dir)
        # A command that starts the command, to run it in another place.
        self.prefix = prefix
        self.arguments = arguments
        self.kafka, self.aws, self.admin = (f"127.0.0.1:{port}" for port in free_ports(3))
        self.log_path = Path(log or f"{data_dir}.log")
        self.process = None

    @property
    def aws_endpoint(self):
        return f"http://{self.aws}"

    @property
    def admin_endpoint(self):
        return f"http://{self.admin}"

    def command(self):
        return [
            *self.prefix,
            binary(),
            "serve",
            f"--data-dir={self.data_dir}",
            f"--kafka-listen={self.kafka}",
            f"--aws-listen={self.aws}",
            f"--admin-listen={self.admin}",
            "--memory=256MiB",
            *self.arguments,
        ]

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        if wait:
            self.wait_until_up()
        return self

    def wait_until_up(self):
        deadline = time.monotonic() + START_SECONDS
        for address in (self.kafka, self.aws):
            host, port = address.rsplit(":", 1)
            while True:
                if self.process.poll() is not None:
                    raise RuntimeError(f"the broker ended ({self.process.returncode}):\n{self.log()}")
                try:
                    socket.create_connection((host, int(port)), timeout=1).close()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"the broker does not listen:\n{self.log()}") from None
                    time.sleep(0.005)

    def stop(self):
        """Asks it to stop, as a service manager would; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the broker did not stop on SIGTERM:\n{self.log()}") from None

    def kill(self):
        """`kill -9`."""
        self.process.kill()
        self.process.wait()

    def log(self):
        return self.log_path.read_text(errors="replace")
