"""Records as the client programs read and write them: see compat-tests/README.md."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Record:
    partition: int
    timestamp: int  # milliseconds
    key: bytes | None
    value: bytes | None
    headers: list = field(default_factory=list)  # (name, bytes or None)


def to_text(data):
    return "-" if data is None else data.hex()


def from_text(text):
    return None if text == "-" else bytes.fromhex(text)


def format_record(record):
    headers = ",".join(f"{name.encode().hex()}={to_text(value)}" for name, value in record.headers)
    fields = (record.partition, record.timestamp, to_text(record.key), to_text(record.value), headers)
    return "\t".join(map(str, fields))


def parse_record(line):
    partition, timestamp, key, value, headers = line.rstrip("\n").split("\t")
    pairs = [pair.split("=") for pair in headers.split(",") if pair]
    return Record(
        int(partition),
        int(timestamp),
        from_text(key),
        from_text(value),
        [(bytes.fromhex(name).decode(), from_text(value)) for name, value in pairs],
    )


def print_record(record, offset):
    print(f"{offset}\t{format_record(record)}")


def parse_consumed(line):
    """An offset, and the record there."""
    offset, record = line.split("\t", 1)
    return int(offset), parse_record(record)
