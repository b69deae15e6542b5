"""Pulls of blobs that lie in an object store are sent there (Docker Registry V2 "Pulling a Layer"), everything else is not."""

from collections.abc import Callable, Iterator

import pytest

from harness.content import Content, blob, digest
from harness.http import Address, Client, Response
from harness.repository import Repository
from harness.server import Server
from harness.swift import Swift

SIZE = 5000


@pytest.fixture(scope="module")
def sending(
    tmp_path_factory: pytest.TempPathFactory, place_for_nodes: Callable[[], dict[str, str]]
) -> Iterator[Server]:
    """A node that redirects, as they do unless they are told not to."""
    settings = {**place_for_nodes(), "storage.delete.enabled": "true"}
    with Server(tmp_path_factory.mktemp("sending"), settings) as server:
        yield server


@pytest.fixture
def there(sending: Server, request: pytest.FixtureRequest) -> Repository:
    """A repository of that node, each test its own."""
    return Repository(Client(sending), request.function.__name__.replace("_", "-"))


def store(swift: Swift) -> Client:
    """A client of the store that has no credentials."""
    return Client(Address(*swift.address))


def target(answer: Response, swift: Swift) -> str:
    """The path and query in the store that a pull is sent to."""
    location = answer.expect(307).headers["Location"]
    assert location.startswith(f"{swift.endpoint}/"), answer
    return location.removeprefix(swift.endpoint)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_a_blob_is_fetched_from_the_store(there: Repository, swift: Swift, algorithm: str, size: int) -> None:
    """The answer names the content and is not kept; the address is all that one needs."""
    content = there.push_blob(blob(f"{algorithm} {size}", size), algorithm)
    wanted = digest(content.body, algorithm)
    answer = there.get(f"blobs/{wanted}")
    assert store(swift).get(target(answer, swift)).expect(200).body == content.body
    assert answer.body == b""
    assert answer.headers["Content-Length"] == "0"
    assert answer.headers["Docker-Content-Digest"] == wanted
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.fixture
def pushed(there: Repository) -> Content:
    """A blob in `there`."""
    return there.push_blob(there.blob(SIZE))


def test_a_part_is_fetched_from_the_store(there: Repository, pushed: Content, swift: Swift) -> None:
    """B2: clients send Range along when they are redirected."""
    part = {"Range": "bytes=500-1499"}
    address = target(there.get(f"blobs/{pushed.digest}", part), swift)
    answer = store(swift).get(address, part).expect(206)
    assert answer.headers["Content-Range"] == f"bytes 500-1499/{SIZE}"
    assert answer.body == pushed.body[500:1500]


def test_the_address_lets_nobody_write(there: Repository, pushed: Content, swift: Swift) -> None:
    """It is signed for one method, one blob and a while."""
    address = target(there.get(f"blobs/{pushed.digest}"), swift)
    outside = store(swift)
    outside.delete(address).expect(403)
    outside.put(address, body=b"something else").expect(403)
    outside.get(address.partition("?")[0]).expect(400, 403)
    outside.get(address.replace(pushed.digest.removeprefix("sha256:"), "0" * 64)).expect(403)
    assert outside.get(address).expect(200).body == pushed.body
    assert "X-Amz-Expires=" in address


def test_who_only_asks_is_answered_here(there: Repository, pushed: Content) -> None:
    """Docker asks with HEAD before it pushes; a client that has the content already needs no other."""
    answer = there.head(f"blobs/{pushed.digest}").expect(200)
    assert answer.headers["Content-Length"] == str(SIZE)
    assert answer.headers["Docker-Content-Digest"] == pushed.digest
    known = {"If-None-Match": f'"{pushed.digest}"'}
    assert "Location" not in there.get(f"blobs/{pushed.digest}", known).expect(304).headers


def test_what_is_not_there_is_not_looked_for_elsewhere(there: Repository, pushed: Content) -> None:
    """B4: a blob of another repository is as unknown as one that nobody has; what was deleted is unknown again."""
    other = Repository(there.client, f"{there.name}/other")
    other.push_image("latest")
    for wanted in (pushed.digest, pushed.sha512, digest(b"nowhere")):
        assert "Location" not in other.get(f"blobs/{wanted}").expect(404, code="BLOB_UNKNOWN").headers
    there.delete(f"blobs/{pushed.digest}").expect(202)
    there.get(f"blobs/{pushed.digest}").expect(404, code="BLOB_UNKNOWN")


def test_manifests_are_answered_here(there: Repository) -> None:
    image = there.push_image("latest")
    for reference in ("latest", image.digest):
        assert there.get(f"manifests/{reference}").expect(200).body == image.body
