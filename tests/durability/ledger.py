"""What clients were told, and whether a server still stands by it."""

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from harness.content import Content
from harness.http import Client, Response
from harness.repository import Repository, with_query
from harness.server import Server, wait_until

TREE = "docker/registry/v2"
DATABASE = "holdfast/holdfast.db"


@dataclass
class Move:
    """A request that sets a tag (or removes it: None), from its first byte to its answer, if there was one."""

    value: str | None
    began: float
    ended: float | None = None


@dataclass
class Begun:
    """An upload under way: `acknowledged` of its bytes were answered; `tried`: with the request that may have come through, so many;
    `closing`: that request was the last one.
    """

    repository: str
    location: str
    content: Content
    acknowledged: int = 0
    tried: int = 0
    closing: bool = False


@dataclass
class Ledger:
    """What is acknowledged. Several threads write to it."""

    blobs: dict[tuple[str, str], Content] = field(default_factory=dict)
    manifests: dict[tuple[str, str], Content] = field(default_factory=dict)
    tags: dict[tuple[str, str], list[Move]] = field(default_factory=dict)
    uploads: list[Begun] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def copy(self) -> "Ledger":
        """A ledger that goes on from here."""
        tags = {tag: list(moves) for tag, moves in self.tags.items()}
        return Ledger(dict(self.blobs), dict(self.manifests), tags, list(self.uploads), list(self.strange))

    @contextmanager
    def moving(self, repository: str, tag: str, value: str | None) -> Iterator[None]:
        """A request that moves a tag: acknowledged when the block ends, in flight for ever when it raises."""
        move = Move(value, time.monotonic())
        with self.lock:
            self.tags.setdefault((repository, tag), []).append(move)
        yield
        move.ended = time.monotonic()

    def allowed(self, repository: str, tag: str) -> set[str | None]:
        """What a tag may point to: nothing that was answered before a later request began that was answered too."""
        moves = self.tags.get((repository, tag), [])
        found = {one.value for one in moves if not any(_overtaken(one, other) for other in moves)}
        return found if any(move.ended for move in moves) else found | {None}


def _overtaken(one: Move, other: Move) -> bool:
    return one.ended is not None and other.ended is not None and other.began > one.ended


def push_blob(ledger: Ledger, repository: Repository, content: Content) -> None:
    """Push a blob with one request."""
    repository.push_blob(content)
    ledger.blobs[repository.name, content.digest] = content


def push_chunks(ledger: Ledger, repository: Repository, content: Content, size: int) -> None:
    """Push a blob in chunks of a size and close it."""
    upload = Begun(repository.name, repository.open_upload(), content)
    ledger.uploads.append(upload)
    for start in range(0, content.size, size):
        piece = content.body[start : start + size]
        upload.tried = start + len(piece)
        upload.location = repository.client.patch(upload.location, {}, piece).expect(202).headers["Location"]
        upload.acknowledged = upload.tried
    upload.closing = True
    repository.client.put(with_query(upload.location, f"digest={content.digest}")).expect(201)
    ledger.uploads.remove(upload)
    ledger.blobs[repository.name, content.digest] = content


def mount(ledger: Ledger, repository: Repository, source: str, content: Content) -> None:
    """Mount a blob from another repository."""
    target = repository.url("blobs/uploads/") + f"?mount={content.digest}&from={source}"
    repository.client.post(target).expect(201)
    ledger.blobs[repository.name, content.digest] = content


def push_manifest(ledger: Ledger, repository: Repository, content: Content, tag: str) -> None:
    """Push a manifest by tag, or without one by digest."""
    if tag:
        with ledger.moving(repository.name, tag, content.digest):
            repository.push_manifest(content, tag)
    else:
        repository.push_manifest(content)
    ledger.manifests[repository.name, content.digest] = content


def remove_tag(ledger: Ledger, repository: Repository, tag: str) -> None:
    """Remove a tag that is there, as nobody else touches it."""
    with ledger.moving(repository.name, tag, None):
        repository.delete(f"manifests/{tag}").expect(202)


def verify(ledger: Ledger, server: Server) -> None:
    """Raise `AssertionError` if a running server has lost or spoilt something, or its tree and database differ."""
    assert ledger.strange == []
    client = Client(server)
    for (repository, digest), content in list(ledger.blobs.items()):
        assert _get(client, f"/v2/{repository}/blobs/{digest}").expect(200).body == content.body
    for (repository, digest), content in list(ledger.manifests.items()):
        assert _get(client, f"/v2/{repository}/manifests/{digest}").expect(200).body == content.body
    for repository, tag in list(ledger.tags):
        answer = _get(client, f"/v2/{repository}/manifests/{tag}").expect(200, 404)
        found = _sha256(answer.body) if answer.status == 200 else None
        assert found in ledger.allowed(repository, tag), (
            f"{repository}:{tag} is {found}: {ledger.tags[repository, tag]}"
        )
    take_up(ledger, client)
    wait_until(lambda: _count(server.root, "dirty") == 0, "the links to be written", 5)
    assert tree(server.root) == database(server.root)
    whole_blobs(server.root)
    assert "another registry moved a tag" not in server.log_text()
    assert "request failed" not in server.log_text()


def take_up(ledger: Ledger, client: Client) -> None:
    """Go on with each upload that was cut off, from where the server says that it stands; cancel every second one."""
    uploads, ledger.uploads = ledger.uploads, []
    for number, upload in enumerate(uploads):
        status = _get(client, upload.location).expect(204, 404)
        if status.status == 404:
            assert upload.closing or not upload.acknowledged, f"an upload is gone: {upload}"
            continue
        offset = int(status.headers["Range"].removeprefix("0-"))
        offset += 1 if offset else 0
        assert offset in {upload.acknowledged, upload.tried}, f"{status} but {upload.acknowledged} or {upload.tried}"
        if number % 2:
            client.delete(upload.location).expect(204)
            continue
        target = with_query(upload.location, f"digest={upload.content.digest}")
        answer = client.put(target, {}, upload.content.body[offset:])
        if answer.status == 404:
            assert upload.closing, f"its bytes are gone: {upload}"
            continue
        answer.expect(201)
        ledger.blobs[upload.repository, upload.content.digest] = upload.content
        assert _get(client, f"/v2/{upload.repository}/blobs/{upload.content.digest}").body == upload.content.body


def _get(client: Client, target: str) -> Response:
    return client.get(target, {"Accept": "*/*"})


def _sha256(octets: bytes) -> str:
    return f"sha256:{hashlib.sha256(octets).hexdigest()}"


def _rows(root: Path, sql: str) -> list[tuple[str, ...]]:
    connection = apsw.Connection(str(root / DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(5000)
        return [tuple(map(str, row)) for row in connection.execute(sql)]
    finally:
        connection.close()


def _count(root: Path, table: str) -> int:
    return int(_rows(root, f"SELECT count(*) FROM {table}")[0][0])


def database(root: Path) -> dict[str, str]:
    """The links that the database asks for, by path."""
    links: dict[str, str] = {}
    blobs = (
        "SELECT r.name, l.digest, l.digest FROM repository_blobs l JOIN repositories r ON r.id = l.repository_id"
        " UNION SELECT r.name, a.digest, l.digest FROM repository_blobs l JOIN repositories r ON r.id = l.repository_id"
        " JOIN aliases a ON a.target = l.digest"
    )
    for name, digest, target in _rows(root, blobs):
        links[f"{name}/_layers/{digest.replace(':', '/')}"] = target
    for name, digest in _rows(
        root, "SELECT r.name, m.blob FROM manifests m JOIN repositories r ON r.id = m.repository_id"
    ):
        links[f"{name}/_manifests/revisions/{digest.replace(':', '/')}"] = digest
    tags = (
        "SELECT r.name, t.name, m.blob FROM tags t JOIN repositories r ON r.id = t.repository_id"
        " JOIN manifests m ON m.repository_id = r.id AND m.digest = t.digest"
    )
    for name, tag, digest in _rows(root, tags):
        links[f"{name}/_manifests/tags/{tag}/current"] = digest
        links[f"{name}/_manifests/tags/{tag}/index/{digest.replace(':', '/')}"] = digest
    return links


def tree(root: Path) -> dict[str, str]:
    """The links of the tree, by path; of what tags pointed to before, only those are given that the database still asks for."""
    base = root / TREE / "repositories"
    found = {str(link.parent.relative_to(base)): link.read_bytes().decode() for link in base.rglob("link")}
    for path, target in found.items():
        assert re.fullmatch("sha256:[0-9a-f]{64}", target), f"{path} holds {target!r}"
    former = {path for path in found if "/index/" in path} - set(database(root))
    for path in former:
        assert found.pop(path) == path.partition("/index/")[2].replace("/", ":")
    return found


def whole_blobs(root: Path) -> None:
    """Raise `AssertionError` if a file among the blobs is not what its name says, or has no row. (No file without a row)"""
    known = {digest for (digest,) in _rows(root, "SELECT digest FROM blobs")}
    for file in (root / TREE / "blobs").rglob("data"):
        digest = _sha256(file.read_bytes())
        assert file.parent.name == digest.removeprefix("sha256:"), f"{file} has the content of {digest}"
        assert digest in known, f"no row for {file}"
