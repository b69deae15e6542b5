"""What an object store leaves behind when something goes wrong, what it costs, and what is said about it."""

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from harness.server import free_port, wait_until
from harness.swift import Swift
from holdfast.model.digests import digest_of
from holdfast.storage import paths
from holdfast.storage.contract import add, cut, finish, new_key, noise, open_upload, read_all, stream
from holdfast.storage.object_bucket import Bucket
from holdfast.storage.object_store import ObjectBlobStore
from holdfast.storage.port import StorageError, StorageUnavailable
from holdfast.storage.s3_multipart import S3Multipart
from holdfast.storage.s3_requests import S3Address
from storage.buckets import OPTIONS, blob_store, s3_store
from storage.relay import Relay

MEBIBYTE = 1024 * 1024
SMALL_CHUNKS = replace(OPTIONS, chunk_size=5 * MEBIBYTE)
BIG = noise(1, 12 * MEBIBYTE)
"""Three chunks."""

HOUR = 60 * 60 * 1000


@pytest.fixture
def address(swift: Swift) -> S3Address:
    """A bucket of the test's own."""
    return swift.bucket_address(swift.new_bucket())


async def left(address: S3Address) -> list[str]:
    """All objects in the bucket, and the keys of all multipart uploads."""
    bucket = Bucket(s3_store(address), replace(OPTIONS, prefix=""))
    objects = [found.path for some in [each async for each in bucket.list("")] for found in some]
    return objects + [begun.key for begun in await S3Multipart(address).begun("")]


async def nothing_known(_names: Sequence[str]) -> set[str]:
    return set()


async def ready(_size: int) -> None:
    """Nothing to do."""


Work = Callable[[ObjectBlobStore], Awaitable[None]]


def on_bucket(address: S3Address, work: Work, patience: float | None = None) -> None:
    """Run `work` on a store in a bucket."""

    async def whole() -> None:
        store = blob_store(address, SMALL_CHUNKS, patience)
        try:
            async with asyncio.timeout(120):
                await work(store)
        finally:
            await store.close()

    asyncio.run(whole())


@pytest.mark.parametrize("aimed", [True, False])
def test_a_push_that_breaks_leaves_nothing(address: S3Address, aimed: bool) -> None:
    async def work(store: ObjectBlobStore) -> None:
        async def broken() -> AsyncIterator[bytes]:
            for piece in cut(BIG, 100_000):
                yield piece
            raise ConnectionError("the client went away")

        upload = await open_upload(store, new_key())
        if aimed:
            upload.aim(digest_of(BIG), ready)
        with pytest.raises(ConnectionError):
            await upload.append(broken())
        await upload.close()
        await store.close()
        assert await left(address) == []

    on_bucket(address, work)


@pytest.mark.parametrize("aimed", [True, False])
def test_a_cancelled_push_leaves_nothing(address: S3Address, aimed: bool) -> None:
    async def work(store: ObjectBlobStore) -> None:
        begun = asyncio.Event()

        async def stalling() -> AsyncIterator[bytes]:
            for piece in cut(BIG, 100_000):
                yield piece
            begun.set()
            await asyncio.Event().wait()

        async def push() -> None:
            upload = await open_upload(store, new_key())
            try:
                if aimed:
                    upload.aim(digest_of(BIG), ready)
                await upload.append(stalling())
            finally:
                await upload.close()

        pushing = asyncio.create_task(push())
        await begun.wait()
        pushing.cancel()
        with suppress(asyncio.CancelledError):
            await pushing
        assert pushing.cancelled()
        await store.close()
        assert await left(address) == []

    on_bucket(address, work)


def test_bytes_that_are_not_what_was_announced_leave_nothing(address: S3Address) -> None:
    async def work(store: ObjectBlobStore) -> None:
        upload = await open_upload(store, new_key())
        upload.aim(digest_of(b"another"), ready)
        assert await upload.append(stream(cut(BIG, 100_000))) == len(BIG)
        assert (await upload.sync()).digest == digest_of(BIG)
        await upload.close()
        assert await left(address) == []

    on_bucket(address, work)


def test_what_ready_raises_leaves_nothing(address: S3Address) -> None:
    async def cancelled(_size: int) -> None:
        raise LookupError("the upload was cancelled")

    async def work(store: ObjectBlobStore) -> None:
        upload = await open_upload(store, new_key())
        upload.aim(digest_of(BIG), cancelled)
        with pytest.raises(LookupError):
            await upload.append(stream(cut(BIG, 100_000)))
        await upload.close()
        assert await left(address) == []

    on_bucket(address, work)


@pytest.mark.parametrize("answer", ["503", "drop", "stall"])
def test_a_store_that_fails_in_the_middle_of_a_push_is_unavailable_and_keeps_nothing(
    swift: Swift, address: S3Address, answer: str
) -> None:
    with Relay(swift.address) as relay:

        async def work(store: ObjectBlobStore) -> None:
            relay.fail = lambda method, path: answer if method == "PUT" and "partNumber=2" in path else ""
            upload = await open_upload(store, new_key())
            upload.aim(digest_of(BIG), ready)
            with pytest.raises(StorageUnavailable):
                await upload.append(stream(cut(BIG, 100_000)))
            await upload.close()
            await store.close()
            assert await left(address) == []

        on_bucket(replace(address, endpoint=relay.endpoint), work, patience=3)


def test_what_a_killed_process_left_is_swept(address: S3Address) -> None:
    script = """
import asyncio, sys
from holdfast.storage.contract import add, new_key, noise, open_upload
from holdfast.storage.s3_requests import S3Address
from storage.buckets import blob_store
from storage.test_object_store_faults import BIG, SMALL_CHUNKS, ready

async def endless():
    while True:
        yield BIG[:500_000]

async def main():
    store = blob_store(S3Address(*sys.argv[1:]), SMALL_CHUNKS)
    await add(store, new_key(), noise(1, 5000))
    upload = await open_upload(store, new_key())
    upload.aim("sha256:" + "0" * 64, ready)
    await upload.append(endless())

asyncio.run(main())
"""
    given = (address.endpoint, address.bucket, address.region, address.access_key, address.secret_key)
    folder = Path(__file__).parents[1]
    process = subprocess.Popen([sys.executable, "-c", script, *given], cwd=folder, env={"PYTHONPATH": str(folder)})
    try:
        begun = S3Multipart(address).begun
        wait_until(lambda: bool(asyncio.run(begun(OPTIONS.prefix))), "a multipart upload that was begun", 60)
    finally:
        process.kill()
        process.wait()

    async def work(store: ObjectBlobStore) -> None:
        now = int(time.time() * 1000)
        assert len(await left(address)) == 2
        assert await store.sweep(now - HOUR, nothing_known) == 0
        assert len(await left(address)) == 2
        # A part that was on its way may have arrived: a store takes those until it has been told.
        assert await store.sweep(now + HOUR, nothing_known) == 2
        assert await left(address) == []

    on_bucket(address, work)


CALLS: dict[str, Callable[[ObjectBlobStore], Awaitable[object]]] = {
    "stat": lambda store: store.stat(digest_of(b"x")),
    "open": lambda store: store.open(digest_of(b"x")),
    "put": lambda store: store.put(digest_of(b"x"), b"x"),
    "delete": lambda store: store.delete(digest_of(b"x")),
    "add": lambda store: add(store, new_key(), b"x"),
    "read": lambda store: store.read_file("a"),
    "write": lambda store: store.write_files([("a", b"x")]),
    "remove": lambda store: store.remove(["a"]),
    "sweep": lambda store: store.sweep(0, nothing_known),
}


@pytest.mark.parametrize("answer", ["503", "drop", "stall"])
def test_a_store_that_does_not_answer_is_unavailable(swift: Swift, address: S3Address, answer: str) -> None:
    with Relay(swift.address) as relay:
        relay.fail = lambda _method, _path: answer

        async def work(store: ObjectBlobStore) -> None:
            outcomes = await asyncio.gather(*(call(store) for call in CALLS.values()), return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * len(CALLS)

        on_bucket(replace(address, endpoint=relay.endpoint), work, patience=1)


@pytest.mark.parametrize("method", ["PUT", "HEAD", "GET", "POST"])
def test_a_connection_that_the_store_closes_just_then_is_no_failure(
    swift: Swift, address: S3Address, method: str
) -> None:
    with Relay(swift.address) as relay:
        answers = iter(["drop"])
        relay.fail = lambda asked, _path: next(answers, "") if asked == method else ""

        async def work(store: ObjectBlobStore) -> None:
            await store.write_files([("a", b"x")])
            assert await store.read_file("a") == b"x"
            assert await store.stat(digest_of(b"nowhere")) is None
            await store.remove(["a"])
            assert await store.read_file("a") is None

        on_bucket(replace(address, endpoint=relay.endpoint), work, patience=1)


def test_a_store_that_is_not_there_is_unavailable(address: S3Address) -> None:
    async def work(store: ObjectBlobStore) -> None:
        outcomes = await asyncio.gather(*(call(store) for call in CALLS.values()), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * len(CALLS)

    on_bucket(replace(address, endpoint=f"http://127.0.0.1:{free_port()}"), work, patience=1)


def test_a_store_that_comes_back_is_waited_for(swift: Swift, address: S3Address) -> None:
    with Relay(swift.address) as relay:
        relay.fail = lambda _method, _path: "503" if relay.requests.total() % 3 else ""

        async def work(store: ObjectBlobStore) -> None:
            key = new_key()
            progress = await add(store, key, BIG)
            parts = await finish(store, key, progress)
            assert await read_all(store, progress.digest, parts) == BIG

        on_bucket(replace(address, endpoint=relay.endpoint), work)


def test_an_object_whose_completion_was_not_confirmed_is_complete(swift: Swift, address: S3Address) -> None:
    with Relay(swift.address) as relay:
        lost = iter(["lose"])
        relay.fail = lambda method, path: next(lost, "") if method == "POST" and "uploadId=" in path else ""

        async def work(store: ObjectBlobStore) -> None:
            assert await push(store, BIG, "aimed") == ""
            assert next(lost, None) is None
            assert await read_all(store, digest_of(BIG)) == BIG

        on_bucket(replace(address, endpoint=relay.endpoint), work)


def test_a_read_goes_on_where_its_answer_was_cut_off(swift: Swift, address: S3Address) -> None:
    with Relay(swift.address) as relay:
        answers = iter(["cut", "drop", "503", "cut", "cut"])

        async def work(store: ObjectBlobStore) -> None:
            await store.put(digest_of(BIG), BIG)
            relay.fail = lambda method, _path: next(answers, "") if method == "GET" else ""
            assert await read_all(store, digest_of(BIG)) == BIG
            assert next(answers, None) is None

        on_bucket(replace(address, endpoint=relay.endpoint), work)


def test_a_blob_that_is_another_length_than_recorded_is_an_error(address: S3Address) -> None:
    async def work(store: ObjectBlobStore) -> None:
        key, progress = new_key(), None
        for piece in cut(BIG[:4000], 1000):
            progress = await add(store, key, piece, progress)
        assert progress is not None
        parts = await finish(store, key, progress)
        reader = await store.open(progress.digest, parts)
        assert reader is not None
        last = parts.rpartition("_holdfast/segments/")[2].partition('"')[0]
        await store.write_files([(paths.segment(last), b"short")])
        assert await reader.read(0, 3000) == BIG[:3000]
        with pytest.raises(StorageError):
            await reader.read(3000, 1000)
        reader.close()
        assert not await store.join(progress.digest, parts)

    on_bucket(address, work)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"secret_key": "wrong-secret"}, "check the access key"),
        ({"access_key": "nobody"}, "check the access key"),
        ({"bucket": "no-such-bucket"}, "there is no the test's bucket: make it"),
        ({"region": "eu-west-1"}, "region"),
    ],
)
def test_what_is_configured_wrong_is_said_without_secrets(
    address: S3Address, changed: dict[str, str], said: str
) -> None:
    async def work(store: ObjectBlobStore) -> None:
        for name in CALLS.keys() - {"sweep"}:
            with pytest.raises(StorageError) as caught:
                await CALLS[name](store)
            assert type(caught.value) is StorageError
            assert said in str(caught.value)
            assert not any(word in str(caught.value) for word in ("wrong-secret", "testing", "Signature="))

    on_bucket(replace(address, **changed), work)  # type: ignore[arg-type]


async def push(store: ObjectBlobStore, content: bytes, how: str) -> str:
    """Push a blob as clients do: `aimed`, one request with its digest; `patched`, a request with the bytes and one that closes."""
    if how == "patched":
        key = new_key()
        parts = await finish(store, key, await add(store, key, content))
    else:
        upload = await open_upload(store, new_key())
        upload.aim(digest_of(content), ready)
        await upload.append(stream(cut(content, 100_000)))
        await upload.sync()
        parts = await upload.commit(digest_of(content))
        await upload.close()
    return parts


@pytest.mark.parametrize(
    ("how", "size", "expected"),
    [
        ("aimed", 1000, "PUT"),
        ("aimed", 12 * MEBIBYTE, "POST PUT PUT PUT POST"),
        ("patched", 1000, "PUT PUT POST"),
        ("patched", 12 * MEBIBYTE, "POST PUT PUT PUT POST HEAD PUT"),
    ],
)
def test_what_a_push_and_a_pull_cost_in_requests(
    swift: Swift, address: S3Address, how: str, size: int, expected: str
) -> None:
    with Relay(swift.address) as relay:

        async def work(store: ObjectBlobStore) -> None:
            content = BIG[:size]
            parts = await push(store, content, how)
            await store._background.wait()
            assert [method for method, _ in relay.seen] == expected.split()
            relay.seen.clear()
            assert await read_all(store, digest_of(content), parts) == content
            assert [method for method, _ in relay.seen] == ["GET"]
            relay.seen.clear()
            assert await store.url(digest_of(content), parts)
            looks = ["HEAD"] if parts else []  # clients that are sent to parts cannot look elsewhere
            assert [method for method, _ in relay.seen] == looks

        on_bucket(replace(address, endpoint=relay.endpoint), work)


def test_memory_is_bounded_whatever_the_size(address: S3Address) -> None:
    """Both ways in a process of their own, whose greatest memory is looked at."""
    script = """
import asyncio, resource, sys
from holdfast.storage.contract import new_key, open_upload
from holdfast.storage.object_bucket import IN_MEMORY
from holdfast.storage.s3_requests import S3Address
from storage.buckets import blob_store
from storage.test_object_store_faults import peak

async def many():
    for number in range(160):
        yield bytes([number]) * 2**20

async def main():
    store = blob_store(S3Address(*sys.argv[1:]))
    await store.put("sha256:" + "0" * 64, b"x")
    before = peak()
    upload = await open_upload(store, new_key())
    await upload.append(many())
    progress = await upload.sync()
    parts = await upload.commit(progress.digest)
    written = peak() - before
    reader = await store.open(progress.digest, parts)
    for offset in range(0, reader.size, 2**19):
        await reader.read(offset, 2**19)
    read = peak() - before - written
    reader.close()
    await upload.close()
    await store.close()
    print(IN_MEMORY // 2**20, written // 2**20, read // 2**20)

asyncio.run(main())
"""
    given = (address.endpoint, address.bucket, address.region, address.access_key, address.secret_key)
    folder = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script, *given],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    allowed, written, read = map(int, done.stdout.split())
    # What a client of HTTP keeps for itself is not counted in.
    assert written < allowed + 32
    assert read < 32


def peak() -> int:
    """The greatest memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
