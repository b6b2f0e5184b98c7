"""The AWS door's protocol, by AWS's own clients: TLS, signatures, CBOR, and both kinds of HTTP on one port."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import botocore.auth
import boto3
import pytest
from botocore import UNSIGNED
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, SSLError

from harness.broker import Broker, free_port

KEY = {"aws_access_key_id": "AKTEST", "aws_secret_access_key": "s/e+c=ret"}
TOKEN_KEY = {"aws_access_key_id": "AKTOKEN", "aws_secret_access_key": "other", "aws_session_token": "T/1="}
CREDENTIALS_FILE = f"""\
# Two who may.
[default]
aws_access_key_id = {KEY["aws_access_key_id"]}
aws_secret_access_key = {KEY["aws_secret_access_key"]}

[with-token]
aws_access_key_id = {TOKEN_KEY["aws_access_key_id"]}
aws_secret_access_key = {TOKEN_KEY["aws_secret_access_key"]}
aws_session_token = {TOKEN_KEY["aws_session_token"]}
"""
JSON = "application/x-amz-json-1.1"
CBOR = "application/x-amz-cbor-1.1"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A broker with TLS and credentials: `.plain` and `.tls` are its endpoints, `.certificate` a file."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "credentials").write_text(CREDENTIALS_FILE)
    tls = f"127.0.0.1:{free_port()}"
    broker = Broker(
        folder / "data",
        f"--aws-tls-listen={tls}",
        "--aws-tls-self-signed",
        f"--credentials={folder / 'credentials'}",
    ).start()
    certificate = folder / "data" / "aws-tls" / "certificate.pem"
    yield SimpleNamespace(plain=broker.aws_endpoint, tls=f"https://{tls}", certificate=str(certificate))
    code = broker.stop()
    assert code == 0 and "panicked" not in broker.log(), broker.log()


def client(endpoint, verify=None, keys=KEY, **config):
    config = Config(retries={"total_max_attempts": 1}, **config)
    return boto3.client(
        "kinesis", endpoint_url=endpoint, region_name="eu-west-1", verify=verify, config=config, **keys
    )


def refusal(client):
    """The error's name and message when it asks for a list of streams."""
    with pytest.raises(ClientError) as caught:
        client.list_streams()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


# TLS


def test_boto3_puts_and_gets_over_tls(guarded, topic):
    kinesis = client(guarded.tls, verify=guarded.certificate)
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    kinesis.put_record(StreamName=topic, PartitionKey="k", Data=b"\x00\xffx" * 100_000)
    start = kinesis.get_shard_iterator(
        StreamName=topic, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    [record] = kinesis.get_records(ShardIterator=start)["Records"]
    assert record["Data"] == b"\x00\xffx" * 100_000
    # The same broker is behind the door without TLS.
    assert topic in client(guarded.plain).list_streams()["StreamNames"]


def test_who_does_not_trust_the_certificate_does_not_connect(guarded):
    with pytest.raises(SSLError):
        client(guarded.tls).list_streams()


def test_awscli_is_served_over_tls_and_told_of_a_wrong_key(guarded, topic):
    def aws(*arguments, secret=KEY["aws_secret_access_key"]):
        command = [str(Path(sys.executable).with_name("aws")), "--endpoint-url", guarded.tls, "kinesis", *arguments]
        environment = os.environ | {
            "AWS_ACCESS_KEY_ID": KEY["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_CA_BUNDLE": guarded.certificate,
            "AWS_MAX_ATTEMPTS": "1",
        }
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    made = aws("create-stream", "--stream-name", topic, "--shard-count", "1")
    assert made.returncode == 0, made.stderr
    told = json.loads(aws("describe-stream-summary", "--stream-name", topic).stdout)
    arn = told["StreamDescriptionSummary"]["StreamARN"]
    assert arn == f"arn:aws:kinesis:us-west-2:000000000000:stream/{topic}"
    wrong = aws("list-streams", secret="wrong")
    assert wrong.returncode != 0 and "(InvalidSignatureException)" in wrong.stderr


# Signatures


def test_a_right_signature_is_believed_whatever_it_covers(guarded, topic):
    kinesis = client(guarded.plain)
    kinesis.create_stream(StreamName=topic, ShardCount=1)
    kinesis.put_record(StreamName=topic, PartitionKey="ключ", Data=bytes(range(256)))
    client(guarded.plain, keys=TOKEN_KEY).list_streams()


def test_a_wrong_signature_is_answered_with_what_it_should_cover(guarded):
    code, message = refusal(client(guarded.plain, keys=KEY | {"aws_secret_access_key": "wrong"}))
    assert code == "InvalidSignatureException"
    assert message.startswith("The request signature we calculated does not match the signature you provided. ")
    host = guarded.plain.removeprefix("http://")
    assert f"The Canonical String for this request should have been\n'POST\n/\n\ncontent-type:{JSON}\nhost:{host}\n" in message


def test_unknown_keys_and_tokens_are_refused(guarded):
    expected = ("UnrecognizedClientException", "The security token included in the request is invalid.")
    assert refusal(client(guarded.plain, keys=KEY | {"aws_access_key_id": "AKOTHER"})) == expected
    assert refusal(client(guarded.plain, keys=KEY | {"aws_session_token": "T"})) == expected
    assert refusal(client(guarded.plain, keys=TOKEN_KEY | {"aws_session_token": "U"})) == expected


def test_an_unsigned_request_is_refused(guarded):
    unsigned = client(guarded.plain, signature_version=UNSIGNED)
    assert refusal(unsigned) == ("MissingAuthenticationTokenException", "Missing Authentication Token")


@pytest.mark.parametrize("minutes, code, begin", [(-14, None, None), (14, None, None),
                                                  (-16, "InvalidSignatureException", "Signature expired: "),
                                                  (16, "InvalidSignatureException", "Signature not yet current: ")])
def test_a_clock_may_be_a_quarter_of_an_hour_off(guarded, minutes, code, begin):
    sent, told = post(guarded.plain, sign(guarded.plain, botocore.auth.SigV4Auth, minutes))
    if code is None:
        assert sent == 200, told
    else:
        assert sent == 400 and told["__type"] == code and told["message"].startswith(begin), told


def test_a_signature_may_stand_in_the_query(guarded):
    # botocore signs no body this way, so what is believed is still no request.
    request = sign(guarded.plain, botocore.auth.SigV4QueryAuth, body=b"")
    status, told = post(guarded.plain, request)
    assert status == 400 and told["__type"] == "SerializationException", told
    request.url = request.url.replace("X-Amz-Expires=3600", "X-Amz-Expires=3601")
    status, told = post(guarded.plain, request)
    assert status == 400 and told["__type"] == "InvalidSignatureException", told
    request.url = request.url.split("&X-Amz-Signature")[0]
    status, told = post(guarded.plain, request)
    assert status == 400 and told["__type"] == "IncompleteSignatureException", told
    assert told["message"].startswith("AWS query-string parameters must include 'X-Amz-Signature'.")


def test_a_body_that_was_changed_on_the_way_is_refused(guarded):
    request = sign(guarded.plain, botocore.auth.SigV4Auth)
    request.data = b'{"Limit": 2}'
    status, told = post(guarded.plain, request)
    assert status == 400 and told["__type"] == "InvalidSignatureException", told


def test_a_broker_does_not_start_with_credentials_that_let_nobody_in(own_broker, tmp_path):
    (tmp_path / "empty").write_text("[default]\nregion = us-east-1\n")
    broker = own_broker(f"--credentials={tmp_path / 'empty'}").start(wait=False)
    assert broker.process.wait(20) == 1
    assert "there is no profile with keys" in broker.log()


@pytest.fixture
def reloading(own_broker, tmp_path):
    """A broker with TLS and credentials of its own; `.again()` has it read both again."""
    credentials = tmp_path / "credentials"
    credentials.write_text(CREDENTIALS_FILE)
    tls = f"127.0.0.1:{free_port()}"
    broker = own_broker(f"--aws-tls-listen={tls}", "--aws-tls-self-signed", f"--credentials={credentials}").start()
    folder = tmp_path / "data" / "aws-tls"

    def again():
        told = broker.log().count("SIGHUP")
        broker.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while broker.log().count("SIGHUP") < told + 2:
            assert time.monotonic() < deadline, broker.log()
            time.sleep(0.01)

    return SimpleNamespace(broker=broker, tls=f"https://{tls}", credentials=credentials, folder=folder, again=again)


def test_other_keys_hold_from_a_sighup_on(reloading):
    endpoint, other = reloading.broker.aws_endpoint, {**KEY, "aws_secret_access_key": "another"}
    reloading.credentials.write_text(CREDENTIALS_FILE.replace(KEY["aws_secret_access_key"], "another"))
    client(endpoint).list_streams()
    reloading.again()
    client(endpoint, keys=other).list_streams()
    assert refusal(client(endpoint))[0] == "InvalidSignatureException"

    # A file that lets nobody in is no reason to let nobody in.
    reloading.credentials.write_text("[default]\n")
    reloading.again()
    assert "the credentials stay as they were" in reloading.broker.log()
    client(endpoint, keys=other).list_streams()
    assert reloading.broker.stop() == 0


def test_another_certificate_is_shown_from_a_sighup_on(reloading, tmp_path):
    first, certificate = tmp_path / "first.pem", reloading.folder / "certificate.pem"
    first.write_bytes(certificate.read_bytes())
    early = client(reloading.tls, verify=str(first))
    early.list_streams()
    shutil.rmtree(reloading.folder)
    reloading.again()
    client(reloading.tls, verify=str(certificate)).list_streams()
    with pytest.raises(SSLError):
        client(reloading.tls, verify=str(first)).list_streams()
    # A connection that was open stays so.
    early.list_streams()

    certificate.write_text("none")
    reloading.again()
    assert "the certificate stays as it was" in reloading.broker.log()
    assert reloading.broker.stop() == 0


def sign(endpoint, by, minutes_off=0, body=b'{"Limit": 1}'):
    """A request for a list of streams, signed by botocore."""
    headers = {"Content-Type": JSON, "X-Amz-Target": "Kinesis_20131202.ListStreams"}
    request = AWSRequest("POST", f"{endpoint}/", data=body, headers=headers)
    keys = Credentials(KEY["aws_access_key_id"], KEY["aws_secret_access_key"])
    now = botocore.auth.get_current_datetime
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            botocore.auth, "get_current_datetime", lambda *a, **k: now(*a, **k) + timedelta(minutes=minutes_off)
        )
        by(keys, "kinesis", "us-east-1").add_auth(request)
    return request


def post(endpoint, request):
    """The status and the JSON of the answer."""
    del endpoint
    sent = urllib.request.Request(request.url, request.data or b"", dict(request.headers), method="POST")
    try:
        with urllib.request.urlopen(sent, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


# CBOR, as the Java SDK writes it: maps of indefinite length, blobs as byte strings, times under tag 1.


def text(value):
    value = value.encode()
    return bytes([0x60 + len(value)]) + value if len(value) < 24 else bytes([0x78, len(value)]) + value


def members(**values):
    return b"\xbf" + b"".join(text(name) + value for name, value in values.items()) + b"\xff"


def cbor(broker, operation, body):
    headers = {"Content-Type": CBOR, "X-Amz-Target": f"Kinesis_20131202.{operation}"}
    request = urllib.request.Request(broker.aws_endpoint, body, headers)
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        assert answer.headers["Content-Type"] == CBOR
        return answer.status, answer.read()


def test_what_is_put_in_cbor_is_got_in_json_and_the_other_way_round(broker, topic):
    kinesis = client(broker.aws_endpoint)
    assert cbor(broker, "CreateStream", members(StreamName=text(topic), ShardCount=b"\x01")) == (200, b"")
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    status, told = cbor(
        broker, "PutRecord", members(StreamName=text(topic), Data=b"\x43\x00\xff\x01", PartitionKey=text("k"))
    )
    assert status == 200 and b"\x6eSequenceNumber\x78\x38" in told
    kinesis.put_record(StreamName=topic, PartitionKey="k", Data=b"from JSON")

    when = b"\xc1\x1b" + struct.pack(">Q", int(before.timestamp() * 1000))
    status, told = cbor(
        broker,
        "GetShardIterator",
        members(
            StreamName=text(topic),
            ShardId=text("shardId-000000000000"),
            ShardIteratorType=text("AT_TIMESTAMP"),
            Timestamp=when,
        ),
    )
    assert status == 200
    start = told.partition(b"\x6dShardIterator\x78")[2][1:].decode()
    records = kinesis.get_records(ShardIterator=start)["Records"]
    assert [record["Data"] for record in records] == [b"\x00\xff\x01", b"from JSON"]

    status, told = cbor(broker, "GetRecords", members(ShardIterator=text(start)))
    assert status == 200
    assert b"\x64Data\x43\x00\xff\x01" in told and b"\x64Data\x49from JSON" in told
    arrived = round(records[0]["ApproximateArrivalTimestamp"].timestamp() * 1000)
    assert b"\x78\x1bApproximateArrivalTimestamp\xc1\x1b" + struct.pack(">Q", arrived) in told


def test_errors_are_told_in_cbor_to_who_asks_in_cbor(broker):
    status, told = cbor(broker, "DescribeStreamSummary", members(StreamName=text("no-such-stream")))
    assert status == 400 and text("__type") + text("ResourceNotFoundException") in told
    assert b"Stream no-such-stream under account 000000000000 not found." in told
    for broken in (b"", b"{}", b"\xbf", b"\x80", b"\xbf\x6aStreamName\x5b" + b"\xff" * 8, b"\xbf\x61x" + b"\x9f" * 100_000):
        status, told = cbor(broker, "DescribeStreamSummary", broken)
        assert status == 400 and text("SerializationException") in told, broken[:40]


# HTTP/2


def test_http2_with_prior_knowledge_is_answered_on_the_same_port(broker):
    host, port = broker.aws_endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
        length_and_kind = connection.recv(4, socket.MSG_WAITALL)
    assert length_and_kind[3] == 4, "the first frame of a server is SETTINGS"
