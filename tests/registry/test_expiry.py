"""Uploads that nobody goes on with are given up. (A week passes here by the clock that the registry is given.)"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.http import Client
from harness.repository import Repository
from harness.server import Server, wait_until
from holdfast.metadata.sqlite import SQLiteDatabase
from holdfast.model.errors import BLOB_UPLOAD_UNKNOWN, Failure
from holdfast.registry.claims import Claims
from holdfast.registry.tree import TreeWriter
from holdfast.registry.uploads import Uploads
from holdfast.storage import paths
from holdfast.storage.filesystem import FilesystemBlobStore
from holdfast.storage.locks import MemoryLocks

AGE = 7 * 24 * 3600 * 1000


class Content:
    """A body that is there at once."""

    def __init__(self, content: bytes) -> None:
        self.length: int | None = len(content)
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


async def _expiry(root: Path) -> None:
    now = 1_000_000
    database, store = SQLiteDatabase(root / "holdfast"), FilesystemBlobStore(root)
    locks = MemoryLocks()
    tree = TreeWriter(database, store, locks)
    uploads = Uploads(database, store, tree, Claims(database, locks), lambda: now)
    try:
        old = await uploads.start("a/b")
        await uploads.append("a/b", old, None, Content(b"old"))
        kept = await uploads.start("a/b")
        directory = root / paths.ROOT / paths.upload("a/b", old)
        assert directory.is_dir()
        now += AGE
        await uploads.append("a/b", kept, None, Content(b"new"))
        assert await uploads.expire(AGE) == 0
        now += 1
        assert await uploads.expired(AGE) == [(old, "a/b")]
        assert await uploads.expire(AGE) == 1
        assert not directory.exists()
        assert await uploads.status("a/b", kept) == 3
        with pytest.raises(Failure) as answer:
            await uploads.status("a/b", old)
        assert answer.value.kind is BLOB_UPLOAD_UNKNOWN
    finally:
        await database.close()
        await store.close()


def test_old_uploads_are_given_up(tmp_path: Path) -> None:
    asyncio.run(_expiry(tmp_path))


def test_what_registry2_left_half_way_is_removed_when_it_is_old(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        Repository(Client(server), "a/b").push_image("latest")
    uploads = server.root / paths.ROOT / paths.repository("a/b") / "_uploads"
    for name, age in (
        ("7f0a4b52-3c1d-4e6f-8a9b-0c1d2e3f4a5b", 8 * 24 * 3600),
        ("0d4c0d3e-1d0f-4a5e-9f67-2b1c7e8a9b0c", 60),
    ):
        (uploads / name).mkdir(parents=True)
        (uploads / name / "data").write_bytes(b"half")
        (uploads / name / "startedat").write_text("2026-01-02T03:04:05Z")
        written = time.time() - age
        for path in (uploads / name / "data", uploads / name):
            os.utime(path, (written, written))
    with server:
        wait_until(lambda: len(os.listdir(uploads)) == 1, "the old upload to go")
        assert os.listdir(uploads) == ["0d4c0d3e-1d0f-4a5e-9f67-2b1c7e8a9b0c"]
