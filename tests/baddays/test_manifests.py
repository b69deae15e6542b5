"""Manifests that are too large, or made to cost more than their size."""

import json
import threading
import zlib
from collections.abc import Callable

import pytest

from baddays.raw import read_all
from baddays.watch import Watch
from harness.content import OCI_IMAGE, OCI_INDEX, digest
from harness.http import Client, Connection
from harness.repository import Repository, pieces
from harness.server import Server
from serving.processes import MIB

LARGEST = 4 * MIB
D = digest(b"nothing")


def filler(size: int, shape: str) -> bytes:
    """JSON of about `size` bytes that is small only before it is read."""
    shapes = {
        "numbers": b"[" + b"0," * (size // 2) + b"0]",
        "empty strings": b"[" + b'"",' * (size // 3) + b'""]',
        "empty arrays": b"[" + b"[]," * (size // 3) + b"[]]",
        "empty objects": b"[" + b"{}," * (size // 3) + b"{}]",
        "nulls": b"[" + b"null," * (size // 5) + b"null]",
        "keys": b"{" + b",".join(b'"%x":0' % number for number in range(size // 10)) + b"}",
        "equal keys": b"{" + b'"a":0,' * (size // 6) + b'"a":0}',
        "one string": b'"' + b"a" * size + b'"',
        "escapes": b'"' + b"\\u0041" * (size // 6) + b'"',
        "one number": b"9" * size,
        "one fraction": b"0." + b"1" * size,
        "exponent": b"1e" + b"9" * (size // 2),
        "deep arrays": b"[" * (size // 2) + b"]" * (size // 2),
        "deep objects": b'{"a":' * (size // 6) + b"0" + b"}" * (size // 6),
        "unclosed arrays": b"[" * size,
        "unclosed objects": b'{"a":' * (size // 5),
        "spaces": b" " * size + b"0",
    }
    return shapes[shape]


SHAPES = (
    *(
        "numbers",
        "empty strings",
        "empty arrays",
        "empty objects",
        "nulls",
        "keys",
        "equal keys",
        "one string",
        "escapes",
    ),
    *(
        "one number",
        "one fraction",
        "exponent",
        "deep arrays",
        "deep objects",
        "unclosed arrays",
        "unclosed objects",
        "spaces",
    ),
)

COSTLY = ("numbers", "empty objects", "keys", "escapes", "exponent", "deep arrays", "unclosed objects")

PLACES = {
    "alone": b"%b",
    "unknown field": b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"x":%b}',
    "layers": b'{"schemaVersion":2,"config":{"digest":"%b"},"layers":%%b}' % D.encode(),
    "config": b'{"schemaVersion":2,"layers":[],"config":%b}',
    "annotations": b'{"schemaVersion":2,"manifests":[],"annotations":%b}',
    "subject": b'{"schemaVersion":2,"manifests":[],"subject":%b}',
    "schemaVersion": b'{"manifests":[],"schemaVersion":%b}',
    "mediaType": b'{"schemaVersion":2,"manifests":[],"mediaType":%b}',
}


@pytest.mark.parametrize("place", PLACES)
def test_json_that_unfolds_costs_little(start_server: Callable[..., Server], place: str) -> None:
    """At most a few times its size is ever needed, and the answer is clear. The engine has no part in it."""
    server = start_server(server_workers="1")
    client = Client(server)
    with Watch(server, 96 * MIB):
        for shape in SHAPES if place in {"alone", "unknown field"} else COSTLY:
            room = LARGEST - len(PLACES[place])
            body = PLACES[place] % filler(room - 100, shape)
            assert len(body) <= LARGEST, shape
            media_type = OCI_IMAGE if place in {"layers", "config"} else OCI_INDEX
            answer = client.put("/v2/odd/json/manifests/latest", {"Content-Type": media_type}, body)
            if place == "unknown field" and answer.status == 201:
                continue  # fields that nobody knows are fine as long as they are JSON
            answer.expect(400, code="MANIFEST_INVALID")
            assert len(answer.body) < 2000, shape


def test_many_at_once_cost_little_more(server: Server) -> None:
    body = b'{"schemaVersion":2,"manifests":' + filler(LARGEST - 200, "empty objects") + b"}"
    statuses: list[int] = []

    def push() -> None:
        answer = Client(server).put("/v2/odd/crowd/manifests/latest", {"Content-Type": OCI_INDEX}, body)
        statuses.append(answer.status)

    with Watch(server, 256 * MIB):
        pushing = [threading.Thread(target=push) for _ in range(12)]
        for thread in pushing:
            thread.start()
        for thread in pushing:
            thread.join()
    assert statuses == [400] * 12


def test_as_many_descriptors_as_fit(server: Server, client: Client) -> None:
    """A sparse index of 4 MiB: either it is kept, or its number of descriptors is named."""
    one = {"mediaType": OCI_IMAGE, "size": 1}
    manifests = [{**one, "digest": digest(b"%d" % number)} for number in range(26_000)]
    body = json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}, separators=(",", ":")
    ).encode()
    assert LARGEST * 0.8 < len(body) <= LARGEST
    with Watch(server, 128 * MIB):
        client.put("/v2/odd/many/manifests/latest", {"Content-Type": OCI_INDEX}, body).expect(201)
        assert client.get("/v2/odd/many/manifests/latest").expect(200).body == body
    image = {
        "schemaVersion": 2,
        "config": {**one, "digest": D},
        "layers": [{**one, "digest": digest(b"%d" % number)} for number in range(26_000)],
    }
    with Watch(server, 128 * MIB):
        body = json.dumps(image, separators=(",", ":")).encode()
        answer = client.put("/v2/odd/many/manifests/image", {"Content-Type": OCI_IMAGE}, body)
        answer.expect(400, code="MANIFEST_BLOB_UNKNOWN")
        assert len(answer.body) < 8 * MIB


@pytest.mark.parametrize("extra", [1, MIB, 64 * MIB], ids=["1 byte", "1 MiB", "64 MiB"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_more_than_4_mib_is_refused_and_the_client_sees_it(
    server: Server, client: Client, chunked: bool, extra: int
) -> None:
    body = b" " * (LARGEST + extra)
    with Watch(server), Connection(server) as connection:
        sent = pieces(body, MIB) if chunked else body
        answer = connection.request("PUT", "/v2/odd/large/manifests/latest", {"Content-Type": OCI_INDEX}, sent)
        answer.expect(413, code="MANIFEST_INVALID")
        if extra == 1 and answer.headers.get("Connection") != "close":
            connection.request("GET", "/v2/").expect(200)
    client.get("/v2/odd/large/tags/list").expect(404)


def test_exactly_4_mib_is_kept(server: Server, client: Client) -> None:
    body = b'{"schemaVersion":2,"manifests":[],"x":"%b"}'
    body %= b"a" * (LARGEST - len(body) + 2)
    assert len(body) == LARGEST
    with Watch(server):
        for sent in (body, pieces(body, 100_000)):
            client.put("/v2/odd/exact/manifests/latest", {"Content-Type": OCI_INDEX}, sent).expect(201)
    assert client.get("/v2/odd/exact/manifests/latest").expect(200).body == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"0",
        b'""',
        b"[]",
        b"{",
        b"{}{}",
        b"{}x",
        b"\xef\xbb\xbf{}",
        b"{}".decode().encode("utf-16"),
        b'{"schemaVersion":2,"manifests":[],"annotations":{"a":"\xff"}}',
        b'{"schemaVersion":2,"manifests":[],"annotations":{"a":"\\ud800"}}',
        b'{"schemaVersion":2,"manifests":[],"annotations":{"a":1}}',
        b'{"schemaVersion":2,"manifests":[{}]}',
        b'{"schemaVersion":2,"manifests":[{"digest":1}]}',
        b'{"schemaVersion":2,"manifests":[{"digest":"sha256:x"}]}',
        b'{"schemaVersion":2,"manifests":[{"digest":"%b","size":-1}]}' % D.encode(),
        b'{"schemaVersion":2,"manifests":[{"digest":"%b","size":1e400}]}' % D.encode(),
        b'{"schemaVersion":2,"manifests":[{"digest":"%b","size":99999999999999999999}]}' % D.encode(),
        b'{"schemaVersion":"2","manifests":[]}',
        b'{"schemaVersion":NaN,"manifests":[]}',
        b'{"schemaVersion":2,"manifests":[],}',
        b"{'schemaVersion':2}",
        b"\x00" * 1000,
        b"\x1f\x8b\x08\x00" + bytes(1000),
    ],
    ids=lambda body: repr(body[-32:]).replace("\\", "."),
)
def test_what_is_no_manifest_is_refused(client: Client, body: bytes) -> None:
    name = f"odd/{digest(body)[7:20]}"
    answer = client.put(f"/v2/{name}/manifests/latest", {"Content-Type": OCI_INDEX}, body)
    answer.expect(400, code="MANIFEST_INVALID")
    client.get(f"/v2/{name}/tags/list").expect(404)


def test_two_fields_of_one_name_mean_the_same_to_everybody(client: Client) -> None:
    """CVE-2021-41190: what one reader takes for an image another must not take for an index."""
    body = b'{"schemaVersion":2,"manifests":[],"layers":[],"config":{"digest":"%b","size":1}}' % D.encode()
    for media_type in (OCI_IMAGE, OCI_INDEX):
        client.put("/v2/odd/both/manifests/x", {"Content-Type": media_type}, body).expect(400, code="MANIFEST_INVALID")


def test_a_compressed_manifest_is_not_unfolded(client: Client) -> None:
    body = zlib.compress(b" " * (64 * MIB))
    answer = client.put("/v2/odd/zip/manifests/x", {"Content-Type": OCI_INDEX, "Content-Encoding": "deflate"}, body)
    answer.expect(400, code="MANIFEST_INVALID")


def test_a_refused_manifest_leaves_the_connection_in_order(server: Server) -> None:
    """Either it is closed, or the next answer belongs to the next request."""
    body = b" " * (LARGEST + 1)
    with Connection(server) as connection:
        for _ in range(3):
            answer = connection.request("PUT", "/v2/odd/order/manifests/x", {"Content-Type": OCI_INDEX}, body)
            answer.expect(413)
            if answer.headers.get("Connection") == "close":
                assert read_all(connection, 5).octets == b""
                break
            connection.request("GET", "/v2/").expect(200)


def test_repositories_of_refused_manifests_do_not_appear(server: Server, client: Client) -> None:
    before = client.get("/v2/_catalog").json()["repositories"]
    for number in range(20):
        Repository(client, f"ghost/r{number}").client.put(f"/v2/ghost/r{number}/manifests/x", body=b"{")
    assert client.get("/v2/_catalog").json()["repositories"] == before
