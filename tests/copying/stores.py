"""Stores to copy between: directories, and buckets of a real engine."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from durability.ledger import TREE
from harness.server import Server, free_port
from harness.swift import Swift
from holdfast.storage.object_store import ObjectBlobStore
from holdfast.storage.s3_requests import S3Address
from storage.buckets import blob_store

PREFIX = "root"
"""Root directory in each bucket."""

REGISTRY_2 = """\
version: 0.1
log: {accesslog: {disabled: true}}
storage:
  s3: {region: us-east-1, bucket: bucket}
  redirect: {disable: true}
http: {addr: "127.0.0.1:0"}
"""


@dataclass(frozen=True)
class Bucket:
    """An empty bucket of an engine, and the configuration file that names it."""

    address: S3Address
    configuration: Path

    @property
    def settings(self) -> dict[str, str]:
        """Of a server that has its bytes there."""
        return {
            "storage.s3.bucket": self.address.bucket,
            "storage.s3.region": self.address.region,
            "storage.s3.regionendpoint": self.address.endpoint,
            "storage.s3.accesskey": self.address.access_key,
            "storage.s3.secretkey": self.address.secret_key,
            "storage.s3.rootdirectory": PREFIX,
            "storage.redirect.disable": "true",
        }

    def docker_registry(self, directory: Path) -> Server:
        """A docker-registry, not started yet, on the bucket."""
        directory.mkdir()
        configuration = directory / "config.yml"
        configuration.write_text(REGISTRY_2)
        return Server(
            directory,
            self.settings | {"http.addr": f"127.0.0.1:{free_port()}", "storage.s3.rootdirectory": f"/{PREFIX}"},
            # With AWS_CA_BUNDLE it does not start.
            command=["env", "-u", "AWS_CA_BUNDLE", "docker-registry", "serve", str(configuration)],
            ready="/",
        )

    def work(self, what: Callable[[ObjectBlobStore], Awaitable[None]]) -> None:
        """Run `what` with the store in the bucket."""

        async def whole() -> None:
            store = blob_store(self.address)
            try:
                await what(store)
            finally:
                await store.close()

        asyncio.run(whole())


def bucket(swift: Swift, directory: Path) -> Bucket:
    """A new bucket; its configuration file is written to `directory`."""
    address = swift.bucket_address(swift.new_bucket())
    configuration = directory / f"{address.bucket}.yml"
    configuration.write_text(
        f"version: 0.1\nstorage:\n  s3:\n    bucket: {address.bucket}\n    region: {address.region}\n"
        f"    regionendpoint: {address.endpoint}\n    accesskey: {address.access_key}\n    secretkey: {address.secret_key}\n"
        f"    rootdirectory: {PREFIX}\n"
    )
    return Bucket(address, configuration)


def tree(root: Path) -> dict[str, bytes]:
    """All files that a copy has to have, by path: uploads under way are not among them, and of what is ours only the id of the database."""
    base = root / TREE
    found = {str(path.relative_to(base)): path for path in base.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if "/_uploads/" not in name and (not name.startswith("_holdfast/") or name == "_holdfast/instance")
    }
