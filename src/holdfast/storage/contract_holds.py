"""What stores must do where one request on an upload excludes others; implementations subclass this in their tests."""
# ruff: noqa: S101 - a suite of tests

import asyncio
from contextlib import suppress

import pytest

from holdfast.model.digests import digest_of
from holdfast.storage.contract import LONG, SHORT, StoreContract, add, new_key, on_store, open_upload, stream
from holdfast.storage.port import BlobStore, UploadBusy, UploadLost


class HoldContract(StoreContract):
    """One writer at a time, in whatever process."""

    @on_store
    async def test_one_holds_and_others_wait(self, store: BlobStore) -> None:
        key = new_key()
        upload = await open_upload(store, key)
        for each in (store, self.store(store)):
            for wait in (0, SHORT):
                with pytest.raises(UploadBusy):
                    await each.hold(key, wait)
            await (await each.hold(new_key(), 0)).close()
        waiting = [asyncio.create_task(add(each, key, b"two")) for each in (store, self.store(store))]
        await asyncio.sleep(SHORT)
        assert not any(task.done() for task in waiting)
        await upload.close()
        assert {progress.digest for progress in await asyncio.gather(*waiting)} == {digest_of(b"two")}
        await (await store.hold(key, 0)).close()

    @on_store
    async def test_whoever_gives_up_waiting_leaves_no_hold(self, store: BlobStore) -> None:
        key = new_key()
        for turns in range(60):
            upload = await store.hold(key, LONG)
            waiting = asyncio.create_task(store.hold(key, LONG))
            await asyncio.sleep(0)
            await upload.close()
            for _ in range(turns):
                await asyncio.sleep(0)
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await (await waiting).close()
        await (await store.hold(key, LONG)).close()

    @on_store
    async def test_an_upload_that_was_discarded_cannot_be_committed(self, store: BlobStore) -> None:
        key = new_key()
        upload = await open_upload(store, key)
        await upload.append(stream([b"one"]))
        progress = await upload.sync()
        await self.store(store).discard(key)
        await store.discard(key)
        with pytest.raises(UploadLost):
            await upload.commit(progress.digest)
        await upload.close()
        assert await store.stat(progress.digest) is None
        upload = await store.hold(key, LONG)
        with pytest.raises(UploadLost):
            await upload.rewind(progress)
        await upload.close()

    @on_store
    async def test_whoever_waited_for_a_commit_or_a_discard_finds_nothing(self, store: BlobStore) -> None:
        for end in ("commit", "discard"):
            key = new_key()
            progress = await add(store, key, end.encode())
            upload = await open_upload(store, key, progress)
            waiting = asyncio.create_task(store.hold(key, LONG))
            await asyncio.sleep(SHORT)
            await (upload.commit(progress.digest) if end == "commit" else store.discard(key))
            await upload.close()
            late = await waiting
            with pytest.raises(UploadLost):
                await late.rewind(progress)
            await late.rewind(None)
            await late.append(stream([b"x"]))
            await late.close()
            assert await store.stat(progress.digest) == (6 if end == "commit" else None)
