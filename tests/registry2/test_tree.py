"""What Holdfast leaves on disk, Debian's docker-registry 2.8.2 serves alike; what Holdfast has deleted, it does not find."""

import itertools
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from durability.ledger import TREE, database, tree, whole_blobs
from harness.content import (
    DOCKER_CONFIG,
    DOCKER_IMAGE,
    DOCKER_LAYER,
    DOCKER_LIST,
    OCI_IMAGE,
    Content,
    image,
    index,
    manifest,
)
from harness.http import Client, Listener
from harness.repository import Repository, pieces, with_query
from harness.server import Server
from registry2.servers import ACCEPT, collect_garbage, docker_registry

SETTINGS = {"server.workers": "2", "storage.delete.enabled": "true"}


@dataclass
class Facts:
    """What there is to find, and what not: paths under /v2/."""

    repositories: set[str] = field(default_factory=set)
    tags: dict[str, set[str]] = field(default_factory=dict)
    manifests: dict[str, Content] = field(default_factory=dict)
    blobs: dict[str, Content] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def manifest(self, repository: Repository, content: Content, *tags: str) -> None:
        """A manifest is there, under its digest and tags."""
        self.repositories.add(repository.name)
        self.tags.setdefault(repository.name, set()).update(tags)
        for reference in (content.digest, *tags):
            self.manifests[repository.url(f"manifests/{reference}")] = content
            self.gone.discard(repository.url(f"manifests/{reference}"))

    def blob(self, repository: Repository, content: Content, digest: str = "") -> None:
        """A blob is there."""
        self.blobs[repository.url(f"blobs/{digest or content.digest}")] = content

    def no_tag(self, repository: Repository, tag: str) -> None:
        """A tag is gone."""
        self.tags[repository.name].discard(tag)
        self.no(self.manifests, repository.url(f"manifests/{tag}"))

    def no(self, known: dict[str, Content], path: str) -> None:
        """Something is gone."""
        del known[path]
        self.gone.add(path)


def find(listener: Listener, facts: Facts) -> None:
    """Raise `AssertionError` unless a registry has all of it, and nothing of what is gone."""
    client = Client(listener)
    listed = client.get("/v2/_catalog?n=1000").expect(200).json()["repositories"]
    assert sorted(facts.repositories) == [name for name in listed if name in facts.repositories]
    for name, tags in facts.tags.items():
        found = client.get(f"/v2/{name}/tags/list").expect(200).json()["tags"] or []
        assert (name, sorted(found)) == (name, sorted(tags))
    for path, content in facts.manifests.items():
        answer = client.get(path, ACCEPT).expect(200)
        assert answer.body == content.body
        assert answer.headers["Content-Type"] == content.media_type
        assert answer.headers["Docker-Content-Digest"] == content.digest
    for path, content in facts.blobs.items():
        assert client.get(path).expect(200).body == content.body
        assert client.head(path).expect(200).headers["Content-Length"] == str(content.size)
    for path in facts.gone:
        client.get(path, ACCEPT).expect(404)


def names(server: Server) -> Callable[[], Repository]:
    """Makes new repositories of several depths."""
    numbers = itertools.count()

    def new() -> Repository:
        number = next(numbers)
        return Repository(Client(server), f"tree/{'x/' * (number % 3)}r{number}")

    return new


def kinds_of_manifests(new: Callable[[], Repository], facts: Facts) -> None:
    """Images, indexes and lists of both families, an image without a mediaType field, one with a subject."""
    repository = new()
    oci = repository.image()
    docker = image(
        repository.push_blob(repository.blob(media_type=DOCKER_CONFIG)),
        [repository.push_blob(repository.blob(media_type=DOCKER_LAYER))],
        media_type=DOCKER_IMAGE,
    )
    fields = oci.json()
    untyped = manifest(OCI_IMAGE, {**fields, "mediaType": None, "annotations": {"a": "b"}})
    referrer = repository.image(subject=oci, artifactType="application/x.y")
    contents = {"oci": oci, "docker": docker, "untyped": untyped, "referrer": referrer}
    contents |= {"index": index([oci, untyped]), "list": index([docker], media_type=DOCKER_LIST)}
    for tag, content in contents.items():
        repository.push_manifest(content, tag)
        facts.manifest(repository, content, tag)
    for layer in oci.json()["layers"]:
        blob = Content(repository.get(f"blobs/{layer['digest']}").expect(200).body)
        facts.blob(repository, blob)


def ways_of_blobs(new: Callable[[], Repository], facts: Facts) -> None:
    """At once, in chunks, mounted, under sha512, empty."""
    repository, other = new(), new()
    for size in (0, 1, 1_000_000):
        facts.blob(repository, repository.push_blob(repository.blob(size)))
    chunked = repository.blob(300_000)
    upload = repository.open_upload()
    for piece in pieces(chunked.body, 100_000):
        upload = repository.client.patch(upload, {}, piece).expect(202).headers["Location"]
    repository.client.put(with_query(upload, f"digest={chunked.digest}")).expect(201)
    facts.blob(repository, chunked)
    query = f"?mount={chunked.digest}&from={repository.name}"
    other.client.post(other.url("blobs/uploads/") + query).expect(201)
    facts.blob(other, chunked)
    second = repository.push_blob(repository.blob(), "sha512")
    facts.blob(repository, second)
    facts.blob(repository, second, second.sha512)


def moves_of_tags(new: Callable[[], Repository], facts: Facts) -> None:
    """There and back, several on one manifest, some removed, one removed and set again."""
    repository = new()
    first, second = repository.push_image("moving", "kept"), repository.push_image("moving", "removed")
    repository.push_manifest(first, "moving")
    repository.put_manifest(second, second.digest, "?tag=a&tag=b&tag=removed").expect(201)
    facts.manifest(repository, first, "moving", "kept")
    facts.manifest(repository, second, "a", "b", "removed")
    for tag in ("removed", "a"):
        repository.delete(f"manifests/{tag}").expect(202)
        facts.no_tag(repository, tag)
    repository.push_manifest(first, "removed")
    facts.manifest(repository, first, "removed")


def deletions(new: Callable[[], Repository], facts: Facts) -> None:
    """A manifest with its tags, a blob, and what is left stays."""
    repository = new()
    kept, deleted = repository.push_image("kept"), repository.push_image("one", "two")
    facts.manifest(repository, kept, "kept")
    facts.manifest(repository, deleted, "one", "two")
    repository.delete(f"manifests/{deleted.digest}").expect(202)
    for tag in ("one", "two"):
        facts.no_tag(repository, tag)
    facts.no(facts.manifests, repository.url(f"manifests/{deleted.digest}"))
    for blob in deleted.json()["layers"]:
        repository.delete(f"blobs/{blob['digest']}").expect(202)
        facts.gone.add(repository.url(f"blobs/{blob['digest']}"))
    again = repository.push_blob(repository.blob())
    repository.delete(f"blobs/{again.digest}").expect(202)
    facts.blob(repository, repository.push_blob(again))


def under_sha512(new: Callable[[], Repository], facts: Facts) -> None:
    """Manifests that the tree knows by sha256 alone: there while one of their names is, gone with the last."""
    repository = new()
    both, one, gone = (repository.image() for _ in range(3))
    for content in (both, one, gone):
        repository.put_manifest(content, content.sha512, f"?tag=t{content.digest[7:11]}").expect(201)
    repository.push_manifest(both, "other")
    repository.delete(f"manifests/{both.digest}").expect(202)
    repository.delete(f"manifests/{gone.sha512}").expect(202)
    facts.repositories.add(repository.name)
    facts.tags[repository.name] = {f"t{content.digest[7:11]}" for content in (both, one)}
    facts.gone |= {repository.url(f"manifests/{name}") for name in ("other", f"t{gone.digest[7:11]}", gone.digest)}


def a_deleted_repository(new: Callable[[], Repository], facts: Facts) -> None:
    """All of it is gone, but not what lies below its name; what comes again is there."""
    repository = new()
    below = Repository(repository.client, f"{repository.name}/below")
    facts.manifest(below, below.push_image("latest"), "latest")
    old = repository.push_image("latest", "old")
    repository.delete("_holdfast/repository").expect(202)
    facts.manifest(repository, repository.push_image("latest"), "latest")
    facts.gone |= {repository.url(f"manifests/{reference}") for reference in ("old", old.digest)}
    facts.gone |= {repository.url(f"blobs/{layer['digest']}") for layer in old.json()["layers"]}


FILLINGS = [kinds_of_manifests, ways_of_blobs, moves_of_tags, deletions, under_sha512, a_deleted_repository]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Facts]:
    """A directory that Holdfast has filled with two workers, and has been stopped; and what should be in it."""
    directory, facts = tmp_path_factory.mktemp("filled"), Facts()
    with Server(directory, SETTINGS) as server:
        new = names(server)
        for fill in FILLINGS:
            fill(new, facts)
        find(server, facts)
    return directory, facts


def test_both_find_it_all_again(filled: tuple[Path, Facts]) -> None:
    directory, facts = filled
    with Server(directory, SETTINGS) as server:
        find(server, facts)
    with docker_registry(directory, server.registry) as other:
        find(other, facts)


def test_its_garbage_collector_takes_nothing_that_is_needed(filled: tuple[Path, Facts], tmp_path: Path) -> None:
    shutil.copytree(filled[0] / "root", tmp_path / "root")
    collect_garbage(tmp_path)
    facts = Facts(filled[1].repositories, filled[1].tags, filled[1].manifests)
    with docker_registry(tmp_path) as server:
        find(server, facts)


def test_the_tree_is_the_database_and_holds_nothing_else(filled: tuple[Path, Facts]) -> None:
    root = filled[0] / "root"
    assert len(tree(root)) > 50
    assert tree(root) == database(root)
    whole_blobs(root)
    own = root / TREE / "_holdfast"
    assert sorted(path.name for path in own.rglob("*")) == ["instance", "server.lock", "tmp"]
    files = [path for path in (root / TREE).rglob("*") if path.is_file() and own not in path.parents]
    assert {path.name for path in files} <= {"link", "data", "mediatype"}
    for path in files:
        relative = path.relative_to(root / TREE)
        assert (relative.parts[0] == "blobs") == (path.name == "data"), relative


def test_a_media_type_stands_beside_the_link_only_where_the_bytes_do_not_tell_it(tmp_path: Path) -> None:
    with Server(tmp_path, SETTINGS) as server:
        repository = Repository(Client(server), "a")
        fields = {**repository.image().json(), "mediaType": None}
        guessed = manifest(OCI_IMAGE, fields)
        docker = manifest(DOCKER_IMAGE, {**fields, "annotations": {"n": "1"}})
        own = manifest("application/x.own+json", {"mediaType": None, "n": 2})
        changed = manifest("application/x.first+json", {"mediaType": None, "n": 3})
        for content in (guessed, docker, own, changed):
            repository.push_manifest(content, "tag")
        second = Content(changed.body, "application/x.second+json")
        repository.push_manifest(second)
        deleted = repository.push_manifest(manifest("application/x.gone+json", {"mediaType": None, "n": 4}))
        repository.delete(f"manifests/{deleted.digest}").expect(202)
    found = {
        path.parent.name: path.read_text()
        for path in (tmp_path / "root" / TREE / "repositories/a/_manifests/revisions/sha256").glob("*/mediatype")
    }
    assert found == {content.digest.removeprefix("sha256:"): content.media_type for content in (docker, own, second)}


def settled(root: Path) -> None:
    """Raise unless the tree is what the database says, which it must be as soon as the last answer has come."""
    assert tree(root) == database(root)


def test_pushes_to_one_tag_at_once_leave_the_tree_at_the_database(tmp_path: Path, long: bool) -> None:
    with Server(tmp_path, SETTINGS) as server, ThreadPoolExecutor(4) as pool:
        repository = Repository(Client(server), "a/b")
        contents = [repository.push_image() for _ in range(4)]
        for _ in range(300 if long else 30):
            list(pool.map(lambda content: repository.push_manifest(content, "tag", "other"), contents))
            settled(server.root)
        for number in range(100 if long else 10):
            removal = pool.submit(repository.delete, f"manifests/{('tag', 'other')[number % 2]}")
            list(pool.map(lambda content: repository.push_manifest(content, "tag"), contents))
            removal.result().expect(202, 404)
            settled(server.root)


def test_pushing_into_a_repository_that_is_being_deleted(tmp_path: Path, long: bool) -> None:
    with Server(tmp_path, SETTINGS) as server, ThreadPoolExecutor(4) as pool:
        repository = Repository(Client(server), "a/b")
        for _ in range(100 if long else 10):
            blobs = [repository.push_blob(repository.blob()) for _ in range(3)]
            repository.push_image("tag")
            removal = pool.submit(repository.delete, "_holdfast/repository")
            pushes = [pool.submit(repository.client.post, _at_once(repository, one), {}, one.body) for one in blobs]
            removal.result().expect(202)
            for push in pushes:
                push.result().expect(201, 404)
            settled(server.root)


def _at_once(repository: Repository, content: Content) -> str:
    return repository.url(f"blobs/uploads/?digest={content.digest}")
