"""Files that are damaged while the broker is down: it says which and where, answers for what it cannot
read with a storage error, goes on with everything else, and throws nothing away."""

import json
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.broker import Broker
from harness.clients import CONFLUENT
from harness.wire import Connection, batch, batches

KAFKA_STORAGE_ERROR = 56
TOPIC = "stock"
# Several segments of 1 MiB, the last with room for more; and few enough for the small first file of
# a journal, which is quick to copy and to read.
BATCHES = 54
VALUE_BYTES = 50_000
# Another partition, which stays whole.
OTHER, OTHERS = 1, 5
SEGMENT_HEADER_BYTES = 64
BLOCK_BYTES = 4096


def value(number):
    return b"%06d" % number + bytes(VALUE_BYTES)


BATCH_OF = [batch([value(number)]) for number in range(BATCHES)]


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """The data directory of a broker that was stopped cleanly: two partitions of several segments,
    each offset with a batch of its own."""
    broker = Broker(tmp_path_factory.mktemp("stock") / "data", "--cores=1").start()
    CONFLUENT.create(broker.kafka, TOPIC, 2, segment_bytes=1 << 20, index_interval_bytes=4096)
    with Connection(broker.kafka) as connection:
        for number, one in enumerate(BATCH_OF):
            assert connection.produce(TOPIC, one) == (0, number)
        for number, one in enumerate(BATCH_OF[:OTHERS]):
            assert connection.produce(TOPIC, one, OTHER) == (0, number)
    assert broker.stop() == 0
    return broker.data_dir


@pytest.fixture
def broker(stock, own_broker, tmp_path):
    """A broker, not started, on a copy of the stock."""
    # Journals are mostly zeros.
    subprocess.run(["cp", "-a", "--sparse=always", stock, tmp_path / "data"], check=True)
    return own_broker("--cores=1")


@dataclass
class Segment:
    path: Path
    base_offset: int
    # Where each batch begins, and at last the file's end.
    positions: list

    @property
    def index(self):
        return self.path.with_suffix(".index")

    def position(self, offset):
        return self.positions[offset - self.base_offset]


def segments(broker, partition):
    [directory] = (broker.data_dir / "topics" / TOPIC).glob(f"*-{partition}")
    found = []
    for path in sorted(directory.glob("*.log")):
        data = path.read_bytes()
        positions = [SEGMENT_HEADER_BYTES]
        for _, one in batches(data[SEGMENT_HEADER_BYTES:]):
            positions.append(positions[-1] + len(one))
        found.append(Segment(path, int(path.name.split("-")[0]), positions))
    assert len(found) >= 3
    return found


def flip(path, position):
    with open(path, "r+b") as file:
        file.seek(position)
        [byte] = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 0x40]))


def fetch(broker, offset, partition=0):
    """The error code, and the numbers of the batches that came."""
    with Connection(broker.kafka) as connection:
        code, _, data = connection.fetch(TOPIC, offset, partition, max_bytes=9 * VALUE_BYTES)
    for base_offset, one in batches(data):
        # Byte for byte, but for the base offset and the leader epoch.
        assert one[16:] == BATCH_OF[base_offset][16:]
    return code, [base_offset for base_offset, _ in batches(data)]


def readable(broker):
    """Every offset that can be read; each other one must be answered by a storage error."""
    found = []
    for offset in range(BATCHES):
        code, numbers = fetch(broker, offset)
        if code == 0:
            assert numbers[0] == offset
            found.append(offset)
        else:
            assert (code, numbers) == (KAFKA_STORAGE_ERROR, [])
    return found


def assert_the_other_partition_goes_on(broker):
    with Connection(broker.kafka) as connection:
        code, end, _ = connection.fetch(TOPIC, 0, OTHER)
        assert code == 0 and end >= OTHERS
        assert connection.produce(TOPIC, BATCH_OF[end], OTHER) == (0, end)
    assert fetch(broker, 0, OTHER) == (0, list(range(end + 1)))


def all_but(*damaged):
    return [offset for offset in range(BATCHES) if offset not in damaged]


def refused_start(broker):
    """What it says when it does not start."""
    done = subprocess.run(broker.command(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_a_flipped_byte_in_a_segment_costs_its_batch_and_no_other(broker):
    segment = segments(broker, 0)[1]
    damaged = segment.base_offset + 3
    at = segment.position(damaged)
    flip(segment.path, at + 25_000)
    broker.start()

    assert fetch(broker, damaged) == (KAFKA_STORAGE_ERROR, [])
    # Who reads towards it gets what comes before it.
    assert fetch(broker, damaged - 2) == (0, [damaged - 2, damaged - 1])
    assert f"{segment.path} is damaged at byte {at}" in broker.log()
    assert readable(broker) == all_but(damaged)
    assert_the_other_partition_goes_on(broker)

    # Nothing was taken away: with the right byte in its place, all is there again.
    flip(segment.path, at + 25_000)
    assert readable(broker) == all_but()
    assert broker.stop() == 0


def test_a_flipped_byte_in_a_batchs_header_is_noticed_too(broker):
    segment = segments(broker, 0)[2]
    damaged = segment.base_offset + 4
    for field in (0, 8, 16):  # base offset, length, magic
        flip(segment.path, segment.position(damaged) + field)
        broker.start()
        assert fetch(broker, damaged) == (KAFKA_STORAGE_ERROR, [])
        assert f"{segment.path} is damaged at byte {segment.position(damaged)}" in broker.log()
        assert_the_other_partition_goes_on(broker)
        assert broker.stop() == 0
        flip(segment.path, segment.position(damaged) + field)
    broker.start()
    assert readable(broker) == all_but()
    assert broker.stop() == 0


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(Path.unlink, id="deleted"),
        pytest.param(lambda path: flip(path, 0), id="magic"),
        pytest.param(lambda path: flip(path, 14), id="number of entries"),
        pytest.param(lambda path: flip(path, 40 + 16 + 4), id="a position"),
        pytest.param(lambda path: path.write_bytes(b""), id="emptied"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-5]), id="cut"),
    ],
)
def test_an_index_is_made_again(broker, damage):
    segment = segments(broker, 0)[1]
    whole = segment.index.read_bytes()
    damage(segment.index)
    broker.start()

    assert readable(broker) == all_but()
    assert f'an index is made again file={segment.index}' in broker.log()
    assert segment.index.read_bytes() == whole
    assert broker.stop() == 0


def test_an_index_of_another_segment_is_made_again(broker):
    first, second = segments(broker, 0)[:2]
    whole = second.index.read_bytes()
    shutil.copy(first.index, second.index)
    broker.start()
    assert readable(broker) == all_but()
    assert second.index.read_bytes() == whole
    assert broker.stop() == 0


def test_a_sealed_segment_that_was_cut_is_missed_from_there_on(broker):
    segment, following = segments(broker, 0)[1:3]
    cut_in = segment.base_offset + 5
    at = segment.position(cut_in)
    with open(segment.path, "r+b") as file:
        file.truncate(at + 1000)
    broker.start()

    lost = range(cut_in, following.base_offset)
    assert readable(broker) == all_but(*lost)
    assert f"{segment.path} is damaged at byte {at}" in broker.log()
    assert_the_other_partition_goes_on(broker)
    assert broker.stop() == 0
    assert segment.path.stat().st_size == at + 1000


def test_a_segment_that_is_gone_is_named_and_may_come_back(broker, tmp_path):
    segment, following = segments(broker, 0)[1:3]
    segment.path.rename(tmp_path / "aside")
    broker.start()
    lost = range(segment.base_offset, following.base_offset)
    assert readable(broker) == all_but(*lost)
    assert f"{segment.path} is missing" in broker.log()
    assert_the_other_partition_goes_on(broker)

    (tmp_path / "aside").rename(segment.path)
    assert readable(broker) == all_but()
    assert broker.stop() == 0


def cut(segment):
    with open(segment.path, "r+b") as file:
        file.truncate(segment.position(BATCHES - 2) + 1000)
    return [BATCHES - 2, BATCHES - 1], f"{segment.path} is damaged at byte {segment.position(BATCHES - 2)}"


def damage_the_header(segment):
    flip(segment.path, 20)
    return range(segment.base_offset, BATCHES), f"{segment.path} is damaged at byte 0"


def remove(segment):
    segment.path.unlink()
    return range(segment.base_offset, BATCHES), f"{segment.path} is missing"


@pytest.mark.parametrize("damage", [cut, damage_the_header, remove])
def test_a_partition_goes_on_behind_a_damaged_newest_segment(broker, damage):
    """And does not keep the others from their checkpoints: or else the journal would grow for ever."""
    newest = segments(broker, 0)[-1]
    lost, said = damage(newest)
    broker.start()
    assert readable(broker) == all_but(*lost)
    assert said in broker.log()
    with Connection(broker.kafka) as connection:
        assert connection.produce(TOPIC, BATCH_OF[0]) == (0, BATCHES)
    assert_the_other_partition_goes_on(broker)
    # The last checkpoint covers all of it: nothing is left to be replayed.
    assert broker.stop() == 0, broker.log()

    broker.start()
    assert "commands_replayed=0 " in broker.log().splitlines()[-3]
    assert readable(broker) == all_but(*lost)
    with Connection(broker.kafka) as connection:
        code, _, data = connection.fetch(TOPIC, BATCHES)
        assert (code, next(batches(data))[0]) == (0, BATCHES)
        assert connection.produce(TOPIC, BATCH_OF[1]) == (0, BATCHES + 1)
    assert broker.stop() == 0


@dataclass
class Frame:
    path: Path
    position: int
    sequence: int
    durable: int


def frames(broker):
    """Where the frames of the journal are."""
    found = []
    for path in sorted(broker.data_dir.glob("journal/*/*/*.journal")):
        data, generation = path.read_bytes(), int(path.stem)
        position = BLOCK_BYTES
        while position < len(data):
            magic, of, sequence, durable, payload = struct.unpack_from("<4s4xQQQI", data, position)
            if magic == b"TWJF" and of == generation:
                found.append(Frame(path, position, sequence, durable))
                position += -(-(48 + payload) // BLOCK_BYTES) * BLOCK_BYTES
            else:
                position += BLOCK_BYTES
    return found


def checkpoints(broker):
    return {path: path.read_bytes() for path in broker.data_dir.glob("state/*/*.checkpoint")}


def killed_before_a_checkpoint(broker):
    """Some batches more than the stock, which only the journal has; how many."""
    for _ in range(5):
        broker.start()
        before = checkpoints(broker)
        with Connection(broker.kafka) as connection:
            for _ in range(10):
                code, offset = connection.produce(TOPIC, BATCH_OF[0])
                assert code == 0
        broker.kill()
        if checkpoints(broker) == before:
            return offset + 1
    raise AssertionError("there was always a checkpoint")


def test_a_damaged_journal_frame_stops_the_start_until_it_is_restored(broker):
    end = killed_before_a_checkpoint(broker)
    chain = sorted(frames(broker), key=lambda frame: frame.sequence)
    damaged = chain[-5]
    # Later frames say that it was durable: it is no torn tail.
    assert chain[-1].durable >= damaged.sequence
    for place in (damaged.position + 5, damaged.position + 20, damaged.position + 30_000):
        flip(damaged.path, place)
        before = checkpoints(broker)
        said = refused_start(broker)
        assert f"{damaged.path} is damaged at byte {damaged.position}" in said
        assert "Restore the file" in said
        assert checkpoints(broker) == before
        flip(damaged.path, place)
    broker.start()
    with Connection(broker.kafka) as connection:
        for offset in range(end):
            code, _, data = connection.fetch(TOPIC, offset, max_bytes=1)
            assert (code, next(batches(data))[0]) == (0, offset)
    assert broker.stop() == 0


@pytest.mark.parametrize("position", [0, 9, 13, 17, 25])
def test_a_damaged_checkpoint_stops_the_start_until_it_is_restored(broker, position):
    for path in checkpoints(broker):
        flip(path, position)
        said = refused_start(broker)
        assert str(path) in said and "restore the file" in said
        flip(path, position)
    broker.start()
    assert readable(broker) == all_but()
    assert broker.stop() == 0


def test_without_a_checkpoint_all_is_read_from_the_journal_or_the_start_is_refused(broker):
    [checkpoint] = checkpoints(broker)
    content = checkpoint.read_bytes()
    checkpoint.unlink()
    [first, *_] = sorted(broker.data_dir.glob("journal/*/core-0/*.journal"))
    aside = first.rename(broker.data_dir.parent / "aside")
    said = refused_start(broker)
    assert "files under state/ and journal/ are missing" in said and str(broker.data_dir / "topics") in said, said

    aside.rename(first)
    broker.start()
    assert readable(broker) == all_but()
    assert_the_other_partition_goes_on(broker)
    assert broker.stop() == 0


@pytest.mark.parametrize(
    "content, said",
    [
        pytest.param(None, "is missing, but", id="missing"),
        pytest.param(b"", "no JSON", id="empty"),
        pytest.param(b"\0" * 200, "no JSON", id="zeros"),
        pytest.param(b"{}", "format version is none", id="no version"),
        pytest.param(json.dumps({"format_version": 1}).encode(), "missing field", id="a field is missing"),
    ],
)
def test_a_damaged_meta_json_stops_the_start_until_it_is_restored(broker, content, said):
    path = broker.data_dir / "meta.json"
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    text = refused_start(broker)
    assert str(path) in text and said in text
    path.write_bytes(whole)
    broker.start()
    assert readable(broker) == all_but()
    assert broker.stop() == 0
