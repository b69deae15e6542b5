"""Our part of a bucket, through obstore: S3, Google Cloud Storage, Azure, or obstore's memory. The only module that calls obstore.

Paths are those of `paths`; `Bucket` puts its prefix before them. obstore's errors become the port's. Their texts hold parts of requests,
so they are read for the reason and never passed on.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from random import random
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import obstore
from obstore.exceptions import BaseError, GenericError, InvalidPathError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from holdfast.storage import paths
from holdfast.storage.object_reasons import refused, unreachable
from holdfast.storage.port import StorageError, StorageFull, StorageUnavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

CLIENT_OPTIONS: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(days=1),
}
"""Time-outs for every store: none for a whole transfer, which may be long, but for each wait."""

RETRIES: "RetryConfig" = {
    "max_retries": 20,
    "retry_timeout": timedelta(seconds=12),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}
"""A store that restarts is waited for so long; then the client is told to come again."""

AHEAD = 1024 * 1024
"""Bytes in a piece of a stream."""

IN_MEMORY = 48 * 1024 * 1024
"""Bytes of a long object that are in memory while it is written: those of the requests under way, and those that gather for the next."""

FEW_STREAMS = 4
"""While no more than so many objects are written at once, each has several requests under way at a time, above it one."""

DELETED_AGAIN = 5
AGAIN_AFTER = 0.2
"""Where several requests delete or write one key at once, some stores fail for that key alone; obstore does not try again then."""

PAUSES = (0.02, 0.2, 0.5)
"""Seconds before each repetition of what failed at once."""

AT_ONCE = 2.0

UNREACHED = "cannot be reached"
"""What stands in an error where no answer came."""

P = ParamSpec("P")
T = TypeVar("T")

MOST_PARTS = 10_000
"""No store takes more in one object."""

_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")
_FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"}
_AGAIN = {"SlowDown", "RequestTimeout", "OperationAborted", "ServiceUnavailable", "Throttling", "RequestLimitExceeded"}


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """How a bucket is used.

    `place`: what errors call it, such as `bucket "images" at https://s3.example.com`, without credentials. `prefix`: what all keys start
    with, without slashes around. `chunk_size`: bytes in one request of a long object, at least 5 MiB. `urls`: whether addresses are given out,
    and `url_seconds` for how long they are good; `signer` makes them where clients reach the store elsewhere than we do. `storage_class`:
    that of what is written; empty for the store's own.
    """

    place: str
    prefix: str = paths.ROOT
    chunk_size: int = 16 * 1024 * 1024
    urls: bool = True
    url_seconds: int = 20 * 60
    signer: ObjectStore | None = None
    storage_class: str = ""

    @property
    def parallel(self) -> int:
        """How many requests of a long object are under way at once: measured against Swift, more than these do not make it faster."""
        return max(1, IN_MEMORY // self.chunk_size - 1)

    @property
    def copies(self) -> bool:
        """Whether a copy that the store makes is what would be written; with obstore it has the store's own storage class."""
        return not self.storage_class


@dataclass(frozen=True, slots=True)
class Found:
    """An object in a listing: its path, its size in bytes, and when it was written (milliseconds since 1970). `etag`: what the store calls its
    content, without quotes; on S3 mostly the MD5 sum of its bytes.
    """

    path: str
    size: int
    modified: int
    etag: str = ""


def again(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Repeat what failed at once for want of a connection: stores close those that were not used for a while, also at the moment when a request is
    sent, and obstore repeats not all of these. What failed after a while was repeated by obstore. Only for what can be done twice.
    """

    @wraps(work)
    async def run(*arguments: P.args, **options: P.kwargs) -> T:
        for pause in (*PAUSES, None):
            begun = time.monotonic()
            try:
                return await work(*arguments, **options)
            except StorageUnavailable as error:
                if pause is None or UNREACHED not in str(error) or time.monotonic() - begun > AT_ONCE:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError  # pragma: no cover - the loop returns or raises

    return run


class Stream:
    """An object's bytes as they come. `size`: of the whole object. `modified`: when it was written, in milliseconds since 1970."""

    def __init__(self, bucket: "Bucket", result: "obstore.GetResult") -> None:
        self.size = result.meta["size"]
        self.modified = _milliseconds(result.meta["last_modified"])
        self._bucket = bucket
        self._stream = result.stream(AHEAD)

    async def next(self) -> bytes:
        """The next piece, hardly longer than `AHEAD`; empty at the end."""
        with self._bucket.translated():
            try:
                return await self._stream.__anext__()
            except StopAsyncIteration:
                return b""


class Bucket:
    """The objects below a prefix."""

    def __init__(self, store: ObjectStore, options: ObjectOptions) -> None:
        self.options = options
        self._store = store
        self._signer = options.signer or store
        self._attributes: obstore.Attributes | None = (
            {"Storage-Class": options.storage_class} if options.storage_class else None
        )
        self._place = options.place
        self._streams = 0

    def _key(self, path: str) -> str:
        return f"{self.options.prefix}/{path}" if self.options.prefix else path

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn obstore's errors into the port's. `FileNotFoundError` stays: what it means, the caller knows."""
        try:
            yield
        except FileNotFoundError as error:
            if any(word in str(error) for word in _NO_BUCKET):
                raise StorageError(f"there is no {self._place}: make it, or correct the configuration") from None
            raise
        except BaseError as error:
            raise self._told(error) from None

    def _told(self, error: BaseError) -> StorageError:
        text = str(error)
        if isinstance(error, InvalidPathError):
            key = found[1] if (found := re.search(r'Path "(.*?)"', text)) else "with a key that it does not tell"
            return StorageError(
                f"{self._place} holds an object that no registry writes, and cannot be listed: remove {key!a}"
            )
        status = int(found[1]) if (found := re.search(r"status code: (\d{3})", text)) else 0
        code = found[1] if (found := re.search(r"(?:<Code>|\(code: )(\w+)", text)) else ""
        reason = " ".join(str(word) for word in (status or "", code) if word)
        if any(word in text for word in _NO_BUCKET):
            return StorageError(f"there is no {self._place}: make it, or correct the configuration")
        if code in _FULL or status == 507:
            return StorageFull(f"{self._place}: {reason}")
        denied = isinstance(error, PermissionDeniedError | UnauthenticatedError) or code == "AccessDenied"
        if code != "RequestTimeTooSkewed" and (denied or status in {401, 403}):
            return StorageError(
                f"{self._place} refused the access ({reason or 'no reason given'}): check the access key, its secret, the region, and that"
                " the key may read, write, list and delete there"
            )
        if status >= 500 or status in {408, 409, 429} or code in _AGAIN:
            return StorageUnavailable(f"{self._place} answered {reason}")
        if status:
            return StorageError(
                ": ".join(filter(None, (f"{self._place} answered {reason}", refused(text, status, code))))
            )
        if code:  # of one key of several
            return StorageUnavailable(f"{self._place} could not delete an object: {reason}")
        return StorageUnavailable(f"{self._place} {UNREACHED}: {unreachable(text)}")

    @again
    async def head(self, path: str) -> int | None:
        """An object's size, or None if it is not there."""
        with self.translated():
            try:
                return (await obstore.head_async(self._store, self._key(path)))["size"]
            except FileNotFoundError:
                pass
        # The answer says nothing but "not found". That the whole bucket is missing must not be taken for a missing object.
        found = await self.stream(path)
        return found.size if found else None

    @again
    async def stream(self, path: str, start: int = 0, end: int | None = None) -> Stream | None:
        """Read an object from `start` on, up to `end` or all, with one request; None if it is not there."""
        options: obstore.GetOptions = {}
        if end is not None:
            options["range"] = (start, end)
        elif start:
            options["range"] = {"offset": start}
        try:
            with self.translated():
                return Stream(self, await obstore.get_async(self._store, self._key(path), options=options))
        except FileNotFoundError:
            return None

    @again
    async def write(self, path: str, content: bytes) -> None:
        """Write an object with one request."""
        try:
            await self._written(path, content, multipart=False, parallel=1)
        except FileNotFoundError:
            raise StorageError(f"{self._place} did not find where to write") from None

    async def write_stream(self, path: str, pieces: AsyncIterator[bytes]) -> None:
        """Write an object that is longer than a chunk; what `pieces` raises is raised, and nothing is left. Must not be cancelled.

        In memory are at most `IN_MEMORY` bytes, or two chunks where those are more; two chunks when many objects are written.
        Raises `FileNotFoundError` if the store knows nothing of the chunks any more: the object is complete, and the answer to that was lost,
        or somebody has aborted it.
        """
        self._streams += 1
        try:
            parallel = self.options.parallel if self._streams <= FEW_STREAMS else 1
            await self._written(path, pieces, multipart=True, parallel=parallel)
        finally:
            self._streams -= 1

    async def _written(
        self, path: str, content: bytes | AsyncIterator[bytes], *, multipart: bool, parallel: int
    ) -> None:
        with self.translated():
            await obstore.put_async(
                self._store,
                self._key(path),
                content,
                attributes=self._attributes,
                use_multipart=multipart,
                chunk_size=self.options.chunk_size,
                max_concurrency=parallel,
            )

    @again
    async def copy(self, source: str, target: str) -> bool:
        """Copy an object without fetching it; tells whether it was there."""
        try:
            with self.translated():
                await obstore.copy_async(self._store, self._key(source), self._key(target))
        except FileNotFoundError:
            return False
        return True

    @again
    async def remove(self, removed: Sequence[str]) -> None:
        """Remove objects, in one request where the store can; no error if they are not there."""
        keys = [self._key(path) for path in removed]
        if not keys:
            return
        with self.translated():
            if not isinstance(self._store, S3Store):
                await asyncio.gather(*(self._remove(key) for key in keys))
                return
            for _ in range(DELETED_AGAIN):
                try:
                    await obstore.delete_async(self._store, keys)
                except GenericError as error:
                    if "(code: " not in str(error):
                        raise
                    await asyncio.sleep(AGAIN_AFTER * random())  # noqa: S311 - so that two do not meet again
                else:
                    return
            await obstore.delete_async(self._store, keys)

    async def _remove(self, key: str) -> None:
        with suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def list(self, path: str, after: str = "") -> AsyncGenerator[list[Found], None]:
        """All objects below a directory, a thousand at a time, each thousand with one request; with `after`, those whose paths follow it in
        the order of their bytes.
        """
        cut = len(self._key(""))
        try:
            with self.translated():
                offset = self._key(after) if after else None
                async for metas in obstore.list(self._store, self._key(path), offset=offset, chunk_size=1000):
                    yield [_found(meta, cut) for meta in metas]
        except FileNotFoundError:
            return

    async def sign(self, path: str) -> str | None:
        """An address at which anybody can read the object for `url_seconds`; None where the store has none."""
        if not self.options.urls or not isinstance(self._signer, S3Store | GCSStore | AzureStore):
            return None
        with self.translated():
            seconds = timedelta(seconds=self.options.url_seconds)
            return await obstore.sign_async(self._signer, "GET", self._key(path), seconds)


def _found(meta: "obstore.ObjectMeta", cut: int) -> Found:
    etag = (meta["e_tag"] or "").strip('"')
    return Found(meta["path"][cut:], meta["size"], _milliseconds(meta["last_modified"]), etag)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
