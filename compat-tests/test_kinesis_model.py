"""Holds the Kinesis door against botocore's own service model: every constraint on a member of an
operation that is served, and every operation that is not."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import botocore.session
import pytest

MODEL = botocore.session.get_session().get_service_model("kinesis")
NOT_SERVED = {
    "StartStreamEncryption",
    "StopStreamEncryption",
    *(name for name in MODEL.operation_names if "Queue" in name or "Channel" in name),
}
SERVED = sorted(set(MODEL.operation_names) - NOT_SERVED)
# Reserved by AWS; not looked at.
NOT_LOOKED_AT = {"StreamId"}
# The input of an operation that takes none.
EMPTY = SimpleNamespace(members={})
# Too long to send for what it would show.
LONGEST_TRIED = 1 << 20


def post(broker, operation, request):
    request = urllib.request.Request(
        broker.aws_endpoint,
        json.dumps(request).encode(),
        {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Kinesis_20131202.{operation}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


def breaches(shape):
    """(a bad value, what is said of it) for each constraint of a shape."""
    limits = shape.metadata
    if shape.type_name == "string":
        if shape.enum:
            yield "no-choice", "satisfy enum value set"
        if "pattern" in limits:
            yield " ", "satisfy regular expression pattern"
        if limits.get("min", 0) > 0:
            yield "", f"have length greater than or equal to {limits['min']}"
        if limits.get("max", LONGEST_TRIED) < LONGEST_TRIED:
            yield "a" * (limits["max"] + 1), f"have length less than or equal to {limits['max']}"
    elif shape.type_name in ("integer", "long"):
        if "min" in limits:
            yield limits["min"] - 1, f"have value greater than or equal to {limits['min']}"
        if "max" in limits:
            yield limits["max"] + 1, f"have value less than or equal to {limits['max']}"
    elif shape.type_name in ("list", "map"):
        empty = [] if shape.type_name == "list" else {}
        if limits.get("min", 0) > 0:
            yield empty, f"have length greater than or equal to {limits['min']}"
        if "max" in limits:
            many = limits["max"] + 1
            full = {str(n): "" for n in range(many)}
            if shape.type_name == "list":
                member = shape.member
                full = [{} if member.type_name == "structure" else (member.enum or ["a"])[0]] * many
            yield full, f"have length less than or equal to {limits['max']}"


def cases(operation, shape, path=(), nest=lambda value: value):
    """(operation, request, member as AWS writes it, what is said) for a structure's members."""
    for name, member in shape.members.items():
        if name in NOT_LOOKED_AT:
            continue
        shown = ".".join([*path, "streamARN" if name == "StreamARN" else name[0].lower() + name[1:]])
        if name in shape.required_members:
            yield operation, nest({}), shown, "not be null"
        for value, said in breaches(member):
            yield operation, nest({name: value}), shown, said
        inner = lambda value, name=name: nest({name: value})
        if member.type_name == "structure":
            yield from cases(operation, member, (*path, shown), inner)
        elif member.type_name == "list" and member.member.type_name == "structure":
            inner = lambda value, name=name: nest({name: [value]})
            yield from cases(operation, member.member, (*path, shown, "1", "member"), inner)


CASES = [
    case
    for operation in SERVED
    for case in cases(operation, MODEL.operation_model(operation).input_shape or EMPTY)
]


@pytest.mark.parametrize(
    "operation, request_, member, said",
    CASES,
    ids=[f"{operation}-{member}-{said.split(':')[0][-40:]}" for operation, _, member, said in CASES],
)
def test_every_constraint_of_the_model_is_held(broker, operation, request_, member, said):
    error = post(broker, operation, request_)

    assert error.get("__type") == "ValidationException", error
    breaches_said = error["message"].split("Value ")
    assert any(f"at '{member}' failed" in text and said in text for text in breaches_said), error


@pytest.mark.parametrize("operation", sorted(NOT_SERVED))
def test_an_operation_that_is_not_served_says_so(broker, operation):
    error = post(broker, operation, {})

    assert error["__type"] == "NotImplementedException"
    assert operation in error["message"]


def test_the_table_of_errors_is_the_models():
    """So that the unit test that finds a case for each of them misses none."""
    table = (Path(__file__).parent.parent / "src/kinesis/model_errors.txt").read_text()
    shown = {}
    for line in table.splitlines():
        operation, errors = line.split(":")
        shown[operation] = errors.split()
    errors = lambda name: [shape.name for shape in MODEL.operation_model(name).error_shapes]
    assert shown == {name: sorted(error.removesuffix("Exception") for error in errors(name)) for name in SERVED}
