"""What has to hold once a fault is over: what was acknowledged is there, nothing contradicts, and nothing is left over."""

import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

from durability.ledger import Ledger
from harness.http import Client
from harness.server import Server, wait_until
from holdfast.app import place as places
from holdfast.app.back_ends import back_ends
from holdfast.app.purging import Purging
from holdfast.config.load import load
from holdfast.registry.claims import Claims
from holdfast.registry.clock import system_clock
from holdfast.registry.joining import Joiner
from holdfast.registry.uploads import Uploads
from holdfast.storage import paths
from holdfast.storage.object_settings import open_blobs
from holdfast.storage.s3_multipart import S3Multipart
from scale.site import Place, Site

AT_ONCE = 8
WEEK = 8 * 24 * 60 * 60 * 1000
"""Milliseconds after which nothing of today is kept for anybody who might go on with it."""

DRAINED = 90.0
"""Seconds in which links are written at the latest, whoever had the lease when it was killed."""


def check(site: Site, ledger: Ledger, *, thorough: bool, hashing: bool) -> None:
    """Raise `AssertionError` if something that was acknowledged is not there on every node; if `thorough`, also where something does not agree, or
    is left that is of no use. `hashing`: all bytes of all that is stored are read for that.
    """
    assert ledger.strange == []
    site.await_ready()
    whole(ledger, site.nodes)
    if thorough:
        drained(site.place)
        clean(site)
        agrees(site, hashing=hashing)
    assert "request failed" not in site.log_text(), site.log_tail()
    assert "Traceback" not in site.log_text(), site.log_tail()


def whole(ledger: Ledger, nodes: Sequence[Server]) -> None:
    """Raise `AssertionError` unless each node gives everything that was acknowledged, byte by byte."""
    assert ledger.blobs
    assert ledger.manifests
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(lambda look: look(), [look for node in nodes for look in _looks(ledger, node)]):
            pass


def _looks(ledger: Ledger, node: Server) -> list[Callable[[], None]]:
    client = Client(node, headers={"Accept": "*/*"}, timeout=60)

    def pulled(target: str, body: bytes) -> None:
        answer = client.get(target).expect(200, 307)
        if answer.status == 200:
            assert answer.body == body, f"{node.registry} gives other bytes for {target}"

    def tagged(repository: str, tag: str) -> None:
        answer = client.get(f"/v2/{repository}/manifests/{tag}").expect(200, 404)
        found = f"sha256:{hashlib.sha256(answer.body).hexdigest()}" if answer.status == 200 else None
        allowed = ledger.allowed(repository, tag)
        assert found in allowed, f"{node.registry} has {repository}:{tag} on {found}, not on one of {allowed}"

    looks: list[Callable[[], None]] = []
    for kind, contents in (("blobs", ledger.blobs), ("manifests", ledger.manifests)):
        for (repository, digest), content in contents.items():
            looks.append(lambda t=f"/v2/{repository}/{kind}/{digest}", b=content.body: pulled(t, b))  # type: ignore[misc]
    looks += [lambda r=repository, t=tag: tagged(r, t) for repository, tag in ledger.tags]  # type: ignore[misc]
    return looks


def drained(place: Place, seconds: float = DRAINED) -> None:
    """Wait until every link is written."""
    wait_until(lambda: place.count("dirty") == 0, "the links to be written", seconds)


def agrees(site: Site, *, hashing: bool) -> None:
    """Raise `AssertionError` unless `holdfast verify` finds that database, links and bytes agree; `hashing`: it reads all bytes."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    command = [sys.executable, "-m", "holdfast", "verify", *([] if hashing else ["--no-bytes"])]
    done = subprocess.run(
        command,
        env=variables | environment(site.settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Settings as variables."""
    return {"REGISTRY_" + key.upper().replace(".", "_"): value for key, value in settings.items()}


def clean(site: Site) -> None:
    """Do what nodes do in the background until a week from now; raise `AssertionError` if something is left that nobody needs."""
    asyncio.run(_a_week_later(site.settings))
    place = site.place
    for table in ("uploads WHERE closed IS NULL", "dirty", "claims", "leftovers", "blobs WHERE parts <> ''"):
        wait_until(lambda t=table: place.count(t) == 0, f"no rows of {table}", 60)  # type: ignore[misc]
    unfinished = asyncio.run(S3Multipart(place.store.bucket_address(place.bucket)).begun(""))
    assert unfinished == [], unfinished
    assert objects(site.settings, paths.SEGMENTS) == []
    assert objects(site.settings, paths.PARTED) == []
    known = {f"blobs/sha256/{hexes[:2]}/{hexes}/data" for hexes in _digests(place)}
    assert set(objects(site.settings, "blobs")) <= known


def _digests(place: Place) -> list[str]:
    return [str(digest).removeprefix("sha256:") for (digest,) in place.rows("SELECT digest FROM blobs")]


async def _a_week_later(settings: dict[str, str]) -> None:
    loaded = load(None, environment(settings)).settings
    async with AsyncExitStack() as stack:
        ends = await back_ends(loaded, places.find(loaded), stack)
        await Joiner(ends.database, ends.store, system_clock).run()

        def later() -> int:
            return system_clock() + WEEK

        uploads = Uploads(ends.database, ends.store, ends.tree, Claims(ends.database, ends.locks), later)
        rules = loaded.storage.maintenance.uploadpurging
        await Purging(uploads, ends.store, ends.database, later, rules, shared=True).run()
        await Joiner(ends.database, ends.store, later).tidy()


def objects(settings: dict[str, str], path: str) -> list[str]:
    """The paths of all objects below a path of the tree in the bucket that settings name."""
    return asyncio.run(_below(settings, path))


async def _below(settings: dict[str, str], path: str) -> list[str]:
    store, bucket = open_blobs(load(None, environment(settings)).settings.storage)
    try:
        return [found.path async for page in bucket.list(path) for found in page]
    finally:
        await store.close()
