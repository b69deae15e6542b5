"""A bucket that docker-registry 2.8.2 has filled reads like the directory that it fills with the same pushes, and takes few requests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.content import DOCKER_LIST, config, image, index
from harness.http import Client
from harness.server import Server, free_port
from harness.swift import Swift
from holdfast.model.digests import Digest, digest_of
from holdfast.storage import paths
from holdfast.storage.filesystem_links import FilesystemLinkReader
from holdfast.storage.links import LinkReader
from holdfast.storage.object_bucket import Bucket, ObjectOptions
from holdfast.storage.object_links import ObjectLinkReader
from holdfast.storage.port import StorageError
from holdfast.storage.s3_requests import S3Address, request
from registry2.pushing import AnyRepository
from registry2.survey import Names
from storage.buckets import s3_store
from storage.relay import Relay

CONFIGURATION = """\
version: 0.1
log: {accesslog: {disabled: true}}
storage:
  DRIVER: {rootdirectory: ROOT}
  delete: {enabled: true}
  redirect: {disable: true}
http: {addr: "127.0.0.1:0"}
"""
PREFIX = f"some/where/{paths.ROOT}"
NAMES = ["a", "a/b", "a-b", "a.b", "a0"]


def docker_registry(directory: Path, driver: str, settings: dict[str, str]) -> Server:
    """A docker-registry, not started yet. `settings`: those of its driver."""
    directory.mkdir()
    configuration = directory / "config.yml"
    root = settings["rootdirectory"]
    configuration.write_text(CONFIGURATION.replace("DRIVER", driver).replace("ROOT", root))
    given = {f"storage.{driver}.{name}": value for name, value in settings.items()}
    return Server(
        directory,
        {"http.addr": f"127.0.0.1:{free_port()}", **given},
        # With AWS_CA_BUNDLE it does not start.
        command=["env", "-u", "AWS_CA_BUNDLE", "docker-registry", "serve", str(configuration)],
        ready="/",
    )


def fill(server: Server) -> None:
    """The same for each registry, with few blobs: a push to a bucket takes docker-registry long."""
    client, names = Client(server), Names()
    first, *others = [AnyRepository(client, name, names) for name in NAMES]
    layer, setup = first.push_blob(first.blob()), first.push_blob(config("a"))
    oci = first.push_manifest(image(setup, [layer]), "v1", "v2")
    for repository in others:
        for blob in (layer, setup):
            repository.mount(blob, first)
        repository.push_manifest(oci, "v1")
    docker = first.push_manifest(first.docker_image())
    first.push_manifest(index([oci]), "index")
    first.push_manifest(index([docker], media_type=DOCKER_LIST), "list")
    for annotation in ("one", "two", "one"):
        first.push_manifest(image(setup, [layer], annotations={"a": annotation}), "moved")
    gone = first.push_manifest(image(setup, [layer], annotations={"a": "gone"}), "gone")
    first.delete(f"manifests/{gone.digest}").expect(202)
    first.push_blob(first.blob(), "sha512")
    first.push_chunks(first.blob(50_000), 20_000)
    first.leave_upload(b"half", 2)


@dataclass
class Filled:
    """A bucket and a directory with the same in them, and a relay before the bucket's store."""

    address: S3Address
    directory: Path
    relay: Relay

    def reader(self) -> ObjectLinkReader:
        """A reader of the bucket; what it asks for is seen by the relay."""
        store = s3_store(replace(self.address, endpoint=self.relay.endpoint))
        return ObjectLinkReader(Bucket(store, ObjectOptions("the bucket", PREFIX)))


@pytest.fixture(scope="module")
def filled(swift: Swift, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    directory = tmp_path_factory.mktemp("filled")
    address = swift.bucket_address(swift.new_bucket())
    bucket = {
        "bucket": address.bucket,
        "region": address.region,
        "regionendpoint": address.endpoint,
        "accesskey": address.access_key,
        "secretkey": address.secret_key,
        "secure": "false",
        "rootdirectory": "/some/where",
    }
    for server in (
        docker_registry(directory / "s3", "s3", bucket),
        docker_registry(directory / "files", "filesystem", {"rootdirectory": str(directory / "root")}),
    ):
        with server:
            fill(server)
    with Relay(swift.address) as relay:
        yield Filled(address, directory / "root", relay)


async def told(reader: LinkReader) -> dict[str, object]:
    """All that a reader says, but for times and the ids of uploads."""
    pages = [page async for page in reader.repositories()]
    names = [name for page in pages for name in page.names]
    everything: dict[str, object] = {"names": names, "odd": [item for page in pages for item in page.oddities]}
    for name in names:
        found = await reader.scan(name, thoroughly=True)
        for kind, links in (("layers", found.layers), ("revisions", found.revisions), ("tags", found.tags)):
            everything[f"{name} {kind}"] = {key: (link.target, link.broken) for key, link in links.items()}
        everything[f"{name} uploads"] = len(found.uploads)
        everything[f"{name} odd"] = sorted((item.path, item.why) for item in found.oddities)
        everything[f"{name} types"] = await reader.media_types(name, list(found.revisions))
    shards = [shard async for shard in reader.shards()]
    everything["shards"] = [(shard.prefix, shard.digests) for shard in shards if shard.prefix]
    digests = sorted(digest for shard in shards for digest in shard.digests)
    stored, odd = await reader.stored(digests)
    everything["stored"] = {digest: (each.size, each.parts) for digest, each in stored.items()}
    everything["odd blobs"] = odd
    everything["contents"] = await reader.contents(digests, 5000)
    return everything


def test_a_bucket_says_what_a_directory_says(filled: Filled) -> None:
    found = asyncio.run(told(filled.reader()))
    wanted = asyncio.run(told(FilesystemLinkReader(filled.directory)))
    assert found == wanted
    assert found["names"] == ["a", "a/b", "a-b", "a.b", "a0"]
    assert found["a uploads"] == 1


def counted(filled: Filled, work: Callable[[ObjectLinkReader], AsyncIterator[object]]) -> int:
    """How many requests some work takes."""

    async def whole() -> None:
        async for _ in work(filled.reader()):
            pass

    before = len(filled.relay.seen)
    asyncio.run(whole())
    return len(filled.relay.seen) - before


def test_links_take_one_listing_for_each_repository(filled: Filled) -> None:
    async def scans(reader: ObjectLinkReader) -> AsyncIterator[object]:
        for name in NAMES:
            found = await reader.scan(name, thoroughly=True)
            # A link under sha512 names a digest that its place does not tell.
            yield found, await reader.media_types(name, list(found.revisions))

    sha512 = sum(1 for path in filled.directory.rglob("_layers/sha512/*/link"))
    assert sha512
    assert counted(filled, lambda reader: reader.repositories()) == 1
    assert counted(filled, scans) == len(NAMES) + sha512


def test_blobs_take_a_listing_for_all_of_them_and_one_each(filled: Filled) -> None:
    async def blobs(reader: ObjectLinkReader) -> AsyncIterator[object]:
        digests: list[Digest] = []
        async for shard in reader.shards():
            digests += shard.digests
            yield shard
        yield await reader.stored(digests)

    blobs_there = sum(1 for path in filled.directory.rglob("blobs/sha256/*/*/data"))
    assert counted(filled, blobs) <= 2 + blobs_there


def test_keys_that_no_registry_writes_are_told(swift: Swift) -> None:
    address = swift.bucket_address(swift.new_bucket())
    bucket = Bucket(s3_store(address), ObjectOptions("the bucket"))
    reader = ObjectLinkReader(bucket)
    digest = digest_of(b"x")

    async def names() -> tuple[list[str], list[str]]:
        await bucket.write(paths.layer_link("good", digest), digest.encode())
        pages = [page async for page in reader.repositories()]
        return [name for page in pages for name in page.names], [odd.path for page in pages for odd in page.oddities]

    odd = ["repositories/caf\xe9", "repositories/d", "repositories/e f%20"]
    for key, below in zip(odd, ("/_layers/x", "/", ""), strict=True):
        request(address, "PUT", f"{paths.ROOT}/{key}{below}")
    found, told = asyncio.run(names())
    assert (found, sorted(told)) == (["good"], sorted(odd))
    request(address, "PUT", f"{paths.ROOT}/repositories/a//b")
    with pytest.raises(StorageError, match="remove 'docker/registry/v2/repositories/a//b'"):
        asyncio.run(names())
