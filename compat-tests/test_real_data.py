"""Real data goes in through one client and comes out through another in another language, byte for
byte: hourly temperatures of two cities, and the airports of the United States."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from harness import clients
from harness.records import Record

[PACKAGE] = Path(os.environ["THALWEG_CACHE"]).glob(
    "venvs/data/lib/python*/site-packages/vega_datasets/_data"
)
PARTITIONS = 4

JOURNEYS = [
    ("seattle-temps.csv", clients.CONFLUENT, clients.JAVA, "lz4"),
    ("sf-temps.csv", clients.JAVA, clients.FRANZ, "snappy"),
    ("airports.csv", clients.FRANZ, clients.KAFKA_PYTHON, "zstd"),
    ("cars.json", clients.KAFKAJS, clients.RDKAFKA, "gzip"),
    ("seattle-weather.csv", clients.KAFKA_PYTHON_OLD, clients.JAVA_OLD, "none"),
    ("us-employment.csv", clients.RDKAFKA, clients.CONFLUENT, "zstd"),
]


@pytest.mark.parametrize(
    "name, writer, reader, codec", JOURNEYS, ids=lambda value: getattr(value, "name", value)
)
def test_a_file_comes_out_as_it_went_in(broker, topic, name, writer, reader, codec):
    data = (PACKAGE / name).read_bytes()
    # One record a line, its end included; the key is the line's number, which deals the lines out.
    lines = data.splitlines(keepends=True)
    now_ms = int(time.time() * 1000)
    records = [
        Record(number % PARTITIONS, now_ms + number, b"%d" % number, line)
        for number, line in enumerate(lines)
    ]
    writer.create(broker.kafka, topic, PARTITIONS)

    writer.produce(broker.kafka, topic, records, codec, writer.can_be_idempotent)

    came_out = {}
    for partition in range(PARTITIONS):
        count = sum(1 for record in records if record.partition == partition)
        for _, record in reader.consume(broker.kafka, topic, partition, 0, count):
            came_out[int(record.key)] = record.value
    joined = b"".join(came_out[number] for number in range(len(lines)))
    assert hashlib.sha256(joined).digest() == hashlib.sha256(data).digest()
