"""What every test is given. See README.md."""

import os
import uuid
from types import SimpleNamespace

import pytest

from harness import small_disk
from harness.broker import Broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """A running broker: `.kafka` is HOST:PORT, `.aws_endpoint` a URL."""
    if running := os.environ.get("THALWEG_KAFKA"):
        yield SimpleNamespace(kafka=running, aws_endpoint=os.environ.get("THALWEG_AWS_ENDPOINT"))
        return
    broker = Broker(tmp_path_factory.mktemp("broker") / "data").start()
    # For client programs and command lines that tests run.
    os.environ["THALWEG_KAFKA"] = broker.kafka
    os.environ["THALWEG_AWS_ENDPOINT"] = broker.aws_endpoint
    yield broker
    code = broker.stop()
    del os.environ["THALWEG_KAFKA"], os.environ["THALWEG_AWS_ENDPOINT"]
    assert code == 0, f"the broker ended with {code}:\n{broker.log()}"
    assert "panicked" not in broker.log(), broker.log()


@pytest.fixture
def own_broker(tmp_path):
    """Makes brokers of the test's own, and ends them: `own_broker(*arguments)`."""
    if os.environ.get("THALWEG_KAFKA_IS_FOREIGN"):
        pytest.skip("needs to start and stop the broker itself")
    brokers = []

    def make(*arguments, data_dir=None, prefix=()):
        log = tmp_path / f"broker-{len(brokers)}.log"
        brokers.append(Broker(data_dir or tmp_path / "data", *arguments, log=log, prefix=prefix))
        return brokers[-1]

    yield make
    for broker in brokers:
        if broker.process is not None and broker.process.poll() is None:
            broker.kill()


@pytest.fixture
def topic():
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


def pytest_configure():
    # A broker that was running before the tests is somebody else's.
    if "THALWEG_KAFKA" in os.environ:
        os.environ["THALWEG_KAFKA_IS_FOREIGN"] = "1"


def pytest_sessionfinish(session):
    if (workeroutput := getattr(session.config, "workeroutput", None)) is not None:
        workeroutput["small_disks"] = sorted(small_disk.USED)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """A worker of pytest-xdist has ended: what it saw goes into the one summary."""
    small_disk.USED.update(getattr(node, "workeroutput", {}).get("small_disks", ()))


def pytest_terminal_summary(terminalreporter):
    # What a full disk was shown on depends on the machine: not to be left in the dark.
    for kind in sorted(small_disk.USED):
        terminalreporter.write_line(f"a full disk was: {kind}")
