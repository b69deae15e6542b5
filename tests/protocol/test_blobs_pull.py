"""Pulling blobs: headers, conditions, ranges (distribution-spec 1.1 "Pulling blobs"; RFC 9110 sections 13 and 14)."""

import re

import pytest

from harness.content import Content, digest
from harness.http import Response
from harness.repository import Repository
from harness.server import Server

SIZE = 5000


@pytest.fixture
def pushed(repository: Repository) -> Content:
    """A blob of 5000 bytes in `repository`."""
    return repository.push_blob(repository.blob(SIZE))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("size", [0, 1, 2, 1023, 70_000, 3 * 2**20 + 1])
def test_headers_of_a_whole_blob(repository: Repository, algorithm: str, size: int) -> None:
    """1.3: length, digest as asked, no compression, an entity tag, and that ranges and caching work."""
    blob = repository.push_blob(repository.blob(size), algorithm)
    wanted = digest(blob.body, algorithm)
    for answer in (repository.get(f"blobs/{wanted}"), repository.head(f"blobs/{wanted}")):
        headers = answer.expect(200).headers
        assert answer.body == (blob.body if answer.method == "GET" else b"")
        assert headers["Content-Length"] == str(size)
        assert headers["Docker-Content-Digest"] == wanted
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Accept-Ranges"] == "bytes"
        assert headers["ETag"] == f'"{wanted}"'
        assert headers["Cache-Control"] == "private, max-age=31536000, immutable"


@pytest.mark.parametrize("accepted", ["gzip", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5", "identity;q=0, *"])
def test_blobs_are_never_compressed(repository: Repository, accepted: str) -> None:
    """G4."""
    zeros = repository.push_blob(Content(bytes(100_000)))
    answer = repository.get(f"blobs/{zeros.digest}", {"Accept-Encoding": accepted}).expect(200)
    assert answer.body == zeros.body
    assert answer.headers["Content-Length"] == "100000"


def test_missing_blob(repository: Repository, other: Repository) -> None:
    """B4, U15: a blob is known to a repository or it is not there, whatever other repositories have."""
    blob = repository.push_blob(repository.blob())
    other.push_image("latest")
    for name in ("GET", "HEAD"):
        for wanted in (blob.digest, blob.sha512, digest(b"nowhere"), digest(b"nowhere", "sha512")):
            other.client.request(name, other.url(f"blobs/{wanted}")).expect(404, code="BLOB_UNKNOWN")


def test_blob_of_an_unknown_repository(repository: Repository) -> None:
    repository.get(f"blobs/{digest(b'nowhere')}").expect(404, code="BLOB_UNKNOWN")
    repository.head(f"blobs/{digest(b'nowhere')}").expect(404)


def test_missing_answers_are_not_remembered(repository: Repository) -> None:
    """B4: the same blob comes and goes."""
    blob = repository.blob()
    for _ in range(3):
        repository.head(f"blobs/{blob.digest}").expect(404)
        repository.push_blob(blob)
        repository.head(f"blobs/{blob.digest}").expect(200)
        repository.delete(f"blobs/{blob.digest}").expect(202)
    repository.get(f"blobs/{blob.digest}").expect(404)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('"{}"', 304),
        ("{}", 304),
        ('W/"{}"', 304),
        ("*", 304),
        ('"other", "{}"', 304),
        ('"other","{}","more"', 304),
        ('"other"', 200),
        ("other", 200),
        ('""', 200),
    ],
)
def test_if_none_match(repository: Repository, pushed: Content, condition: str, status: int) -> None:
    """B1: quoted, unquoted, weak, a list, or any."""
    for method in ("GET", "HEAD"):
        headers = {"If-None-Match": condition.format(pushed.digest)}
        answer = repository.client.request(method, repository.url(f"blobs/{pushed.digest}"), headers).expect(status)
        assert answer.headers["ETag"] == f'"{pushed.digest}"'
        assert answer.body == (pushed.body if (method, status) == ("GET", 200) else b"")


def test_if_none_match_of_a_missing_blob(repository: Repository, pushed: Content) -> None:
    wanted = digest(b"nowhere")
    repository.get(f"blobs/{wanted}", {"If-None-Match": f'"{wanted}"'}).expect(404)
    repository.get(f"blobs/{wanted}", {"If-None-Match": "*"}).expect(404)


SINGLE_RANGES = [
    ("bytes=0-0", 0, 0),
    ("bytes=500-1499", 500, 1499),
    ("bytes=500-", 500, 4999),
    ("bytes=0-", 0, 4999),
    ("bytes=-500", 4500, 4999),
    ("bytes=-5000", 0, 4999),
    ("bytes=-9999", 0, 4999),
    ("bytes=2000-5000", 2000, 4999),
    ("bytes=2000-99999999999999999999", 2000, 4999),
    ("bytes=4999-4999", 4999, 4999),
    ("bytes=4999-", 4999, 4999),
    ("bytes=-1", 4999, 4999),
    ("Bytes=1-2", 1, 2),
    ("bytes= 1-2 ", 1, 2),
]


@pytest.mark.parametrize(("asked", "first", "last"), SINGLE_RANGES)
def test_single_range(repository: Repository, pushed: Content, asked: str, first: int, last: int) -> None:
    """B2: 206 with the part, the end cut at the blob's size."""
    answer = repository.get(f"blobs/{pushed.digest}", {"Range": asked}).expect(206)
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert answer.headers["Docker-Content-Digest"] == pushed.digest
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["ETag"] == f'"{pushed.digest}"'
    assert answer.body == pushed.body[first : last + 1]


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=5000-",
        "bytes=5000-10000",
        "bytes=500-0",
        "bytes=-0",
        "bytes=99999999999999999999-",
        "bytes=5000-,6000-7000",
        "bytes=5000-5001,-0",
    ],
)
def test_range_outside_of_the_blob(repository: Repository, pushed: Content, asked: str) -> None:
    """B2: 416, and Content-Range tells the size."""
    answer = repository.get(f"blobs/{pushed.digest}", {"Range": asked}).expect(416, code="UNSUPPORTED")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "asked",
    [
        "items=0-1",
        "bytes 0-1",
        "0-1",
        "bytes",
        "bytes=",
        "bytes=a-b",
        "bytes=1",
        "bytes=--1",
        "bytes=-",
        "bytes=0x1-2",
        "",
    ],
)
def test_range_that_is_not_understood_is_ignored(repository: Repository, pushed: Content, asked: str) -> None:
    """RFC 9110 section 14.2: the whole blob."""
    assert repository.get(f"blobs/{pushed.digest}", {"Range": asked}).expect(200).body == pushed.body


@pytest.mark.parametrize("asked", ["bytes=0-", "bytes=0-0", "bytes=5-10", "bytes=-5", "bytes=5-1", "bytes=0-1,3-4"])
def test_any_range_of_an_empty_blob(repository: Repository, asked: str) -> None:
    """B2: containerd asks `bytes=0-` for everything; nothing is a whole answer."""
    empty = repository.push_blob(Content(b""))
    answer = repository.get(f"blobs/{empty.digest}", {"Range": asked}).expect(200)
    assert answer.headers["Content-Length"] == "0"


@pytest.mark.parametrize("asked", ["bytes=500-1499", "bytes=-1", "bytes=0-1,5-6"])
def test_head_with_range(repository: Repository, pushed: Content, asked: str) -> None:
    """RFC 9110 lets a server read Range on GET alone, or answer HEAD as it would GET: one of the two, not a mixture."""
    get = repository.get(f"blobs/{pushed.digest}", {"Range": asked}).expect(206)
    head = repository.head(f"blobs/{pushed.digest}", {"Range": asked}).expect(200, 206)
    wanted = get.headers["Content-Length"] if head.status == 206 else str(SIZE)
    assert head.headers["Content-Length"] == wanted
    assert ("Content-Range" in head.headers) == (head.status == 206 and "," not in asked)


@pytest.mark.parametrize(
    ("condition", "status"),
    [('"{}"', 206), ('"other"', 200), ('W/"{}"', 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)],
)
def test_if_range(repository: Repository, pushed: Content, condition: str, status: int) -> None:
    """B1: another version, or one compared weakly, means the whole blob."""
    headers = {"Range": "bytes=10-19", "If-Range": condition.format(pushed.digest)}
    answer = repository.get(f"blobs/{pushed.digest}", headers).expect(status)
    assert answer.body == (pushed.body[10:20] if status == 206 else pushed.body)


def test_if_none_match_goes_before_range(repository: Repository, pushed: Content) -> None:
    headers = {"Range": "bytes=10-19", "If-None-Match": f'"{pushed.digest}"'}
    repository.get(f"blobs/{pushed.digest}", headers).expect(304)


def parts(answer: Response) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of each part of a multipart/byteranges answer (RFC 9110 section 14.6)."""
    kind = re.fullmatch(r'multipart/byteranges; ?boundary="?([^"]+)"?', answer.headers["Content-Type"])
    assert kind, answer
    delimiter = b"--" + kind[1].encode()
    assert answer.body.rstrip().endswith(delimiter + b"--"), answer
    found = []
    for part in (b"\r\n" + answer.body).split(b"\r\n" + delimiter)[1:-1]:
        head, _, body = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        assert {name.lower() for name in fields} == {"content-type", "content-range"}, answer
        found.append((next(value for name, value in fields.items() if name.lower() == "content-range"), body))
    return found


@pytest.mark.parametrize(
    ("asked", "spans"),
    [
        ("bytes=0-9,20-29", [(0, 9), (20, 29)]),
        ("bytes=0-0, 2-2,\t4-4", [(0, 0), (2, 2), (4, 4)]),
        ("bytes=4000-4999,0-999", [(4000, 4999), (0, 999)]),
        ("bytes=0-99,50-149", [(0, 99), (50, 149)]),
        ("bytes=10-19,-10,4990-", [(10, 19), (4990, 4999), (4990, 4999)]),
        ("bytes=0-9,4995-6000,5000-6000", [(0, 9), (4995, 4999)]),
    ],
)
def test_several_ranges(repository: Repository, pushed: Content, asked: str, spans: list[tuple[int, int]]) -> None:
    """B2: one part for each span that lies in the blob."""
    answer = repository.get(f"blobs/{pushed.digest}", {"Range": asked}).expect(206)
    assert "Content-Range" not in answer.headers
    assert answer.headers["Docker-Content-Digest"] == pushed.digest
    assert parts(answer) == [(f"bytes {first}-{last}/{SIZE}", pushed.body[first : last + 1]) for first, last in spans]


def test_several_ranges_of_which_one_lies_in_the_blob(repository: Repository, pushed: Content) -> None:
    answer = repository.get(f"blobs/{pushed.digest}", {"Range": "bytes=10-19,5000-,6000-7000"}).expect(206)
    if "Content-Range" in answer.headers:
        assert (answer.headers["Content-Range"], answer.body) == (f"bytes 10-19/{SIZE}", pushed.body[10:20])
    else:
        assert parts(answer) == [(f"bytes 10-19/{SIZE}", pushed.body[10:20])]


def test_most_ranges(repository: Repository, pushed: Content) -> None:
    """B2: a hundred; above that 400, which stargz and podman take as "ask one at a time"."""
    spans = [(place, place + 4) for place in range(0, 1000, 10)]
    asked = "bytes=" + ",".join(f"{first}-{last}" for first, last in spans)
    answer = repository.get(f"blobs/{pushed.digest}", {"Range": asked}).expect(206)
    assert [body for _, body in parts(answer)] == [pushed.body[first : last + 1] for first, last in spans]
    repository.get(f"blobs/{pushed.digest}", {"Range": asked + ",2000-2001"}).expect(400, code="UNSUPPORTED")
    repository.get(f"blobs/{pushed.digest}", {"Range": "bytes=" + "0-," * 2000 + "1-"}).expect(400, code="UNSUPPORTED")


def test_hanging_up_in_the_middle(repository: Repository, registry: Server) -> None:
    """B3: containerd asks for the rest of a blob and leaves after its part; that is no error."""
    blob = repository.push_blob(repository.blob(8 * 2**20))
    before = len(registry.log_text())
    for _ in range(10):
        with repository.client.connect() as connection:
            connection.send_head("GET", repository.url(f"blobs/{blob.digest}"), {"Range": "bytes=1000-"})
            assert connection.receive_head().status == 206
            assert connection.read(1000) == blob.body[1000:2000]
    assert repository.get(f"blobs/{blob.digest}").expect(200).body == blob.body
    assert not re.search(r"traceback|error", registry.log_text()[before:], re.IGNORECASE)


def test_head_has_no_body_on_a_kept_connection(repository: Repository, pushed: Content) -> None:
    """G3: the next answer follows at once."""
    with repository.client.connect() as connection:
        for _ in range(3):
            for method, status, tail in (
                ("HEAD", 200, pushed.digest),
                ("GET", 200, pushed.digest),
                ("HEAD", 404, digest(b"nowhere")),
                ("HEAD", 400, "sha256:bad"),
            ):
                answer = connection.request(method, repository.url(f"blobs/{tail}")).expect(status)
                assert answer.body == (pushed.body if method == "GET" else b"")
