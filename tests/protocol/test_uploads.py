"""Pushing blobs (distribution-spec 1.1 "Pushing blobs", Docker Registry V2 "Pushing A Layer")."""

import re
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from harness.content import Content, digest
from harness.http import Fields, Response
from harness.repository import Repository, pieces, with_query

CHUNK = 1024
UPLOAD = "00000000-0000-4000-8000-000000000000"


def close(repository: Repository, upload: str, wanted: str, headers: Fields = (), body: bytes = b"") -> Response:
    """The closing PUT of an upload."""
    return repository.client.put(with_query(upload, f"digest={wanted}"), headers, body)


def chunk(repository: Repository, upload: str, start: int, body: bytes) -> Response:
    """One chunk, with its Content-Range."""
    return repository.client.patch(upload, {"Content-Range": f"{start}-{start + len(body) - 1}"}, body)


def streamed(blob: Content) -> Iterator[bytes]:
    """A chunked body of small pieces, yet no more than some hundred."""
    return pieces(blob.body, max(700, blob.size // 300))


def post_only(repository: Repository, blob: Content, wanted: str) -> Response:
    return repository.client.post(repository.url(f"blobs/uploads/?digest={wanted}"), body=blob.body)


def post_only_chunked_body(repository: Repository, blob: Content, wanted: str) -> Response:
    return repository.client.post(repository.url(f"blobs/uploads/?digest={wanted}"), body=streamed(blob))


def post_put(repository: Repository, blob: Content, wanted: str) -> Response:
    return close(repository, repository.open_upload(), wanted, {"Content-Type": "application/octet-stream"}, blob.body)


def post_put_chunked_body(repository: Repository, blob: Content, wanted: str) -> Response:
    return repository.client.put(with_query(repository.open_upload(), f"digest={wanted}"), body=streamed(blob))


def post_put_encoded_digest(repository: Repository, blob: Content, wanted: str) -> Response:
    """Go clients encode the colon."""
    return close(repository, repository.open_upload(), wanted.replace(":", "%3A"), body=blob.body)


def stream(repository: Repository, blob: Content, wanted: str) -> Response:
    """docker: one PATCH, chunked, without Content-Range; then an empty PUT."""
    patched = repository.client.patch(repository.open_upload(), body=streamed(blob)).expect(202)
    return close(repository, patched.headers["Location"], wanted)


def stream_with_length(repository: Repository, blob: Content, wanted: str) -> Response:
    """skopeo: one PATCH with Content-Length."""
    patched = repository.client.patch(repository.open_upload(), body=blob.body).expect(202)
    return close(repository, patched.headers["Location"], wanted)


def chunked_single(repository: Repository, blob: Content, wanted: str) -> Response:
    upload = repository.open_upload()
    if blob.body:
        upload = chunk(repository, upload, 0, blob.body).expect(202).headers["Location"]
    return close(repository, upload, wanted)


def chunked_multi(repository: Repository, blob: Content, wanted: str) -> Response:
    upload, offset = repository.open_upload(), 0
    for piece in pieces(blob.body, max(CHUNK, blob.size // 3)):
        patched = chunk(repository, upload, offset, piece).expect(202)
        upload, offset = patched.headers["Location"], offset + len(piece)
        assert patched.headers["Range"] == f"0-{offset - 1}"
    return close(repository, upload, wanted)


def chunked_multi_and_put_chunk(repository: Repository, blob: Content, wanted: str) -> Response:
    upload, offset = repository.open_upload(), 0
    *first, last = list(pieces(blob.body, max(CHUNK, blob.size // 3))) or [b""]
    for piece in first:
        upload = chunk(repository, upload, offset, piece).expect(202).headers["Location"]
        offset += len(piece)
    return close(repository, upload, wanted, {"Content-Range": f"{offset}-{blob.size - 1}"} if last else (), last)


def several_streams(repository: Repository, blob: Content, wanted: str) -> Response:
    """U2: without Content-Range each body is appended."""
    upload = repository.open_upload()
    for piece in pieces(blob.body, max(CHUNK, blob.size // 3)):
        upload = repository.client.patch(upload, body=[piece]).expect(202).headers["Location"]
    return close(repository, upload, wanted)


Form = Callable[[Repository, Content, str], Response]
FORMS: list[Form] = [
    post_only,
    post_only_chunked_body,
    post_put,
    post_put_chunked_body,
    post_put_encoded_digest,
    stream,
    stream_with_length,
    chunked_single,
    chunked_multi,
    chunked_multi_and_put_chunk,
    several_streams,
]
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
every_algorithm = pytest.mark.parametrize("algorithm", ["sha256", "sha512"])


@every_form
@every_algorithm
@pytest.mark.parametrize("size", [0, 2, 3500, 2 * 2**20 + 7])
def test_push(repository: Repository, form: Form, algorithm: str, size: int) -> None:
    """U1-U4, U6, G8: each form, each algorithm; the blob is there at once, and at the Location that was told."""
    blob = repository.blob(size)
    wanted = digest(blob.body, algorithm)
    pushed = form(repository, blob, wanted).expect(201)
    assert pushed.headers["Location"] == repository.url(f"blobs/{wanted}")
    assert pushed.headers["Docker-Content-Digest"] == wanted
    assert repository.head(f"blobs/{wanted}").expect(200).headers["Content-Length"] == str(size)
    assert repository.client.get(pushed.headers["Location"]).expect(200).body == blob.body
    form(repository, blob, wanted).expect(201)
    repository.delete(f"blobs/{wanted}").expect(202)
    repository.head(f"blobs/{wanted}").expect(404)


@pytest.mark.parametrize(
    ("form", "size"),
    [(form, 3500) for form in FORMS]
    # an empty body with a digest may also mean that the client only asks: test_post_with_digest_and_no_body
    + [(form, 0) for form in FORMS if form not in {post_only, post_only_chunked_body}],
)
@every_algorithm
def test_content_that_does_not_have_the_digest(repository: Repository, form: Form, algorithm: str, size: int) -> None:
    """U5: verified on every way in; 400, and nothing has been stored."""
    blob = repository.blob(size)
    wanted = digest(blob.body + b"something else", algorithm)
    form(repository, blob, wanted).expect(400, code="DIGEST_INVALID")
    repository.head(f"blobs/{wanted}").expect(404)
    repository.head(f"blobs/{digest(blob.body, algorithm)}").expect(404)


@pytest.mark.parametrize("path", ["blobs/uploads/", "blobs/uploads", "blobs/uploads/?digest-algorithm=sha256"])
def test_opening(repository: Repository, path: str) -> None:
    """U1: Location with a UUID, path-absolute and without percent signs; an empty upload says 0-0."""
    answer = repository.client.post(repository.url(path)).expect(202)
    upload = answer.headers["Location"]
    assert upload.startswith(repository.url("blobs/uploads/"))
    assert UUID(answer.headers["Docker-Upload-UUID"])
    assert answer.headers["Range"] == "0-0"
    assert int(answer.headers.get("OCI-Chunk-Min-Length") or "0") <= CHUNK


def test_ids_are_never_used_twice(repository: Repository) -> None:
    assert len({repository.open_upload() for _ in range(20)}) == 20


def test_opening_does_not_make_a_blob_or_tags(repository: Repository) -> None:
    repository.open_upload()
    repository.head(f"blobs/{digest(b'')}").expect(404)
    repository.get("manifests/latest").expect(404)


def test_status(repository: Repository) -> None:
    """U7: GET and HEAD tell how far it is, on any Location that was ever told."""
    first = repository.open_upload()
    second = chunk(repository, first, 0, b"x" * 10).expect(202).headers["Location"]
    for upload in (first, second, with_query(first, f"digest={digest(b'')}")):
        for method in ("GET", "HEAD"):
            answer = repository.client.request(method, upload).expect(204)
            assert answer.headers["Range"] == "0-9"
            assert UUID(answer.headers["Docker-Upload-UUID"])
            chunk_location = answer.headers["Location"]
    chunk(repository, chunk_location, 10, b"y" * 5).expect(202)
    close(repository, chunk_location, digest(b"x" * 10 + b"y" * 5)).expect(201)


def test_status_of_an_empty_upload(repository: Repository) -> None:
    """U3: never `0--1`."""
    assert repository.client.get(repository.open_upload()).expect(204).headers["Range"] == "0-0"


def test_empty_patch(repository: Repository) -> None:
    patched = repository.client.patch(repository.open_upload(), body=b"").expect(202)
    assert patched.headers["Range"] == "0-0"
    close(repository, patched.headers["Location"], digest(b"")).expect(201)


def test_cancel(repository: Repository) -> None:
    """U8: 204, and then the upload is unknown to everybody."""
    upload = repository.open_upload()
    chunk(repository, upload, 0, b"abc").expect(202)
    repository.client.delete(upload).expect(204)
    unknown_to_all(repository, upload)


def unknown_to_all(repository: Repository, upload: str) -> None:
    """Every request on the upload is 404 BLOB_UPLOAD_UNKNOWN."""
    for method in ("GET", "HEAD", "DELETE"):
        repository.client.request(method, upload).expect(404, code="BLOB_UPLOAD_UNKNOWN")
    repository.client.patch(upload, body=b"abc").expect(404, code="BLOB_UPLOAD_UNKNOWN")
    repository.client.patch(upload, body=[b"abc"]).expect(404, code="BLOB_UPLOAD_UNKNOWN")
    close(repository, upload, digest(b"abc"), body=b"abc").expect(404, code="BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize(
    "name",
    [UPLOAD, "x", "1", "%2e%2e", "..", UPLOAD + "0", "%00", "%ff", "_uploads", "{" + UPLOAD + "}x", "0" * 5000],
)
def test_unknown_upload(repository: Repository, direct_repository: Repository, name: str) -> None:
    repository.push_image("latest")
    unknown_to_all(direct_repository, repository.url(f"blobs/uploads/{name}"))


def test_upload_belongs_to_its_repository(repository: Repository, other: Repository) -> None:
    """U9: another name does not know it, and cannot harm it."""
    upload = repository.open_upload()
    other.push_image("latest")
    unknown_to_all(other, upload.replace(repository.name, other.name, 1))
    close(repository, upload, digest(b"abc"), body=b"abc").expect(201)


@pytest.mark.parametrize("written", ["{0}-{1}", "bytes {0}-{1}/*", "bytes {0}-{1}/99", "{0}-{1}/*"])
def test_written_forms_of_content_range(repository: Repository, written: str) -> None:
    """U2: as the spec has it, or as RFC 9110 does."""
    upload = repository.open_upload()
    for start in (0, 10):
        patched = repository.client.patch(upload, {"Content-Range": written.format(start, start + 9)}, b"0123456789")
        assert patched.expect(202).headers["Range"] == f"0-{start + 9}"
    close(repository, upload, digest(b"0123456789" * 2)).expect(201)


@pytest.mark.parametrize(
    ("content_range", "body"),
    [
        ("0-9", b"0123456789"),
        ("4-13", b"0123456789"),
        ("6-15", b"0123456789"),
        ("99-108", b"0123456789"),
        ("5-9", b"0123"),
        ("5-9", b"012345"),
        ("5-9", b""),
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_chunk_that_does_not_fit(
    repository: Repository, content_range: str, body: bytes, streamed: bool, method: str
) -> None:
    """U2, U4: 416 that tells where the upload stands; it goes on as if nothing had been sent."""
    upload = chunk(repository, repository.open_upload(), 0, b"abcde").expect(202).headers["Location"]
    target = with_query(upload, f"digest={digest(b'abcde' + body)}") if method == "PUT" else upload
    headers = {"Content-Range": content_range}
    answer = repository.client.request(method, target, headers, [body] if streamed else body)
    answer.expect(416, code="BLOB_UPLOAD_INVALID")
    assert answer.headers["Range"] == "0-4"
    assert answer.headers["Docker-Upload-UUID"] in upload
    for location in (target, upload, answer.headers["Location"]):
        assert repository.client.get(location).expect(204).headers["Range"] == "0-4"
    patched = chunk(repository, answer.headers["Location"], 5, b"fghij").expect(202)
    assert patched.headers["Range"] == "0-9"
    close(repository, patched.headers["Location"], digest(b"abcdefghij")).expect(201)


@pytest.mark.parametrize("content_range", ["9-5", "5", "5-", "-9", "a-b", "5-9,10-11", "bytes */5", "5-" + "9" * 30])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_content_range_that_is_none(repository: Repository, content_range: str, method: str) -> None:
    """Refused rather than guessed; the upload stands where it stood."""
    upload = chunk(repository, repository.open_upload(), 0, b"abcde").expect(202).headers["Location"]
    target = with_query(upload, f"digest={digest(b'abcdefghij')}") if method == "PUT" else upload
    answer = repository.client.request(method, target, {"Content-Range": content_range}, b"fghij")
    answer.expect(400, 416, code="BLOB_UPLOAD_INVALID")
    assert repository.client.get(upload).expect(204).headers["Range"] == "0-4"


@every_algorithm
@pytest.mark.parametrize("put_chunk", [False, True])
def test_chunks_out_of_order(repository: Repository, algorithm: str, put_chunk: bool) -> None:
    """3.3: the last chunk first, on PATCH or on the closing PUT; then in order, a repeated one in between."""
    blob = repository.blob(3 * CHUNK)
    wanted = digest(blob.body, algorithm)
    upload = repository.open_upload()
    last = {"Content-Range": f"{2 * CHUNK}-{3 * CHUNK - 1}"}
    if put_chunk:
        close(repository, upload, wanted, last, blob.body[2 * CHUNK :]).expect(416)
        upload = with_query(upload, f"digest={wanted}")
    else:
        repository.client.patch(upload, last, blob.body[2 * CHUNK :]).expect(416)
    asked = repository.client.get(upload).expect(204)
    assert asked.headers["Range"] == "0-0"
    second = chunk(repository, asked.headers["Location"], 0, blob.body[:CHUNK]).expect(202)
    assert second.headers["Range"] == f"0-{CHUNK - 1}"
    chunk(repository, upload.partition("?")[0], 0, blob.body[:CHUNK]).expect(416)
    assert repository.client.get(upload).expect(204).headers["Range"] == f"0-{CHUNK - 1}"
    third = chunk(repository, second.headers["Location"], CHUNK, blob.body[CHUNK : 2 * CHUNK]).expect(202)
    close(repository, third.headers["Location"], wanted, last, blob.body[2 * CHUNK :]).expect(201)
    assert repository.get(f"blobs/{wanted}").expect(200).body == blob.body


@pytest.mark.parametrize(
    "query",
    [
        "",
        "digest=",
        "digest=sha256:bad",
        "digest=blake3:" + "a" * 64,
        "digest=md5:" + "a" * 32,
        "digest=sha256%3A" + "A" * 64,
    ],
)
@pytest.mark.parametrize("body", [b"", b"defg"])
def test_closing_without_a_usable_digest(repository: Repository, query: str, body: bytes) -> None:
    """U5: 400, and the upload stays as it was."""
    upload = chunk(repository, repository.open_upload(), 0, b"abc").expect(202).headers["Location"]
    repository.client.put(with_query(upload, query), body=body).expect(400, code="DIGEST_INVALID")
    assert repository.client.get(upload).expect(204).headers["Range"] == "0-2"
    close(repository, upload, digest(b"abcdefg"), body=b"defg").expect(201)


def test_closing_with_the_wrong_digest_ends_the_upload(repository: Repository) -> None:
    """U5: what has arrived cannot be what was meant."""
    upload = chunk(repository, repository.open_upload(), 0, b"abc").expect(202).headers["Location"]
    close(repository, upload, digest(b"other")).expect(400, code="DIGEST_INVALID")
    unknown_to_all(repository, upload)


@pytest.mark.parametrize("query", ["digest=sha256:bad", "digest=blake3:" + "a" * 64])
def test_post_with_a_digest_that_is_none(repository: Repository, query: str) -> None:
    repository.client.post(repository.url(f"blobs/uploads/?{query}"), body=b"abc").expect(400, code="DIGEST_INVALID")


@every_algorithm
def test_post_with_digest_and_no_body(repository: Repository, algorithm: str) -> None:
    """U13: 201 when the repository has the blob; otherwise an upload is opened, as servers do that ignore `digest`."""
    blob = repository.blob()
    wanted = digest(blob.body, algorithm)
    opened = repository.client.post(repository.url(f"blobs/uploads/?digest={wanted}")).expect(202)
    close(repository, opened.headers["Location"], wanted, body=blob.body).expect(201)
    again = repository.client.post(repository.url(f"blobs/uploads/?digest={wanted}")).expect(201)
    assert again.headers["Location"] == repository.url(f"blobs/{wanted}")
    assert again.headers["Docker-Content-Digest"] == wanted


@pytest.mark.parametrize("hint", ["sha256", "sha512"])
@every_algorithm
def test_digest_algorithm_is_a_hint(repository: Repository, hint: str, algorithm: str) -> None:
    """U6: the digest at the end decides."""
    blob = repository.blob()
    upload = repository.open_upload(f"?digest-algorithm={hint}")
    patched = repository.client.patch(upload, body=blob.body[:400]).expect(202)
    closed = close(repository, patched.headers["Location"], digest(blob.body, algorithm), body=blob.body[400:]).expect(
        201
    )
    assert closed.headers["Docker-Content-Digest"] == digest(blob.body, algorithm)


@pytest.mark.parametrize("hint", ["md5", "blake3", "SHA256", "sha256:", "x" * 1000])
def test_unknown_digest_algorithm(repository: Repository, hint: str) -> None:
    answer = repository.client.post(repository.url(f"blobs/uploads/?digest-algorithm={hint}"))
    answer.expect(400, code="DIGEST_INVALID")


@every_algorithm
def test_repeated_close(repository: Repository, algorithm: str) -> None:
    """U12: a client that lost the 201 asks again and gets it; with another digest the upload is unknown."""
    blob = repository.blob()
    wanted = digest(blob.body, algorithm)
    upload = repository.client.patch(repository.open_upload(), body=blob.body).expect(202).headers["Location"]
    for _ in range(3):
        closed = close(repository, upload, wanted).expect(201)
        assert closed.headers["Location"] == repository.url(f"blobs/{wanted}")
        assert closed.headers["Docker-Content-Digest"] == wanted
    close(repository, upload, digest(b"other")).expect(404, code="BLOB_UPLOAD_UNKNOWN")
    repository.client.get(upload).expect(404)


def test_repeated_close_with_the_whole_body(repository: Repository) -> None:
    """containerd sends everything again."""
    blob = repository.blob(200_000)
    upload = repository.open_upload()
    for _ in range(2):
        close(repository, upload, blob.digest, body=blob.body).expect(201)


def test_location_does_not_have_to_be_used_as_told(repository: Repository) -> None:
    """U7: the id alone says which upload is meant."""
    upload = repository.open_upload().partition("?")[0]
    for place, letter in enumerate(b"abc"):
        chunk(repository, upload, place, bytes([letter])).expect(202)
    close(repository, upload, digest(b"abc")).expect(201)
    assert re.search(r"/blobs/uploads/[0-9a-f-]{36}$", upload)
