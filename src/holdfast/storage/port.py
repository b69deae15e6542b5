"""The blob store port: where bytes live.

Implementations: `filesystem` (registry:2's tree), `object_store` (S3, GCS, Azure), `memory`. `contract.py` holds the suite that each must pass.
Errors of a back end never cross the port: what is raised is listed here.

`parts` in this module tells where bytes lie that are not at their blob's own place yet: a text of the store's own, kept with the blob by the
caller. It is empty for bytes that are where they belong, and always on stores that can rename.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.model.digests import Digest


class StorageError(Exception):
    """The store could not do it, for a reason of its own (an I/O error): the base of the errors below.

    StorageError
    +-- StorageFull      no room: nothing was changed
    +-- StorageReadOnly  the store takes no writes
    +-- StorageUnavailable  it cannot be reached, or does not answer: asking again later can help
    +-- UploadBusy       another request writes to the upload
    +-- UploadLost       the upload's bytes are gone or fewer than recorded
    """


class StorageFull(StorageError):
    """There is no room, or less than the configured reserve."""


class StorageReadOnly(StorageError):
    """The store takes no writes at all."""


class StorageUnavailable(StorageError):
    """The store cannot be reached, or does not answer in time."""


class UploadBusy(StorageError):
    """Another request held the upload for longer than the caller waited."""


class UploadLost(StorageError):
    """The upload's bytes are not there, or fewer than recorded."""


@dataclass(frozen=True, slots=True)
class UploadKey:
    """Which upload: its repository, its id (a UUID) and the time it was started (RFC 3339, whole seconds, UTC)."""

    repository: str
    id: str
    started: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload's bytes are safely kept: `offset` bytes, their SHA-256, the state to go on hashing (may be empty), and their `parts`."""

    offset: int
    digest: Digest
    state: bytes
    parts: str = ""


class BlobReader(Protocol):
    """An open blob. It stays readable when the blob is deleted meanwhile. The caller closes it."""

    @property
    def size(self) -> int:
        """Bytes in the blob."""

    async def read(self, offset: int, length: int) -> bytes:
        """Read exactly `length` bytes (at most 1 MiB) that lie in the blob. Raises `StorageError`, also if the file is shorter."""

    def close(self) -> None:
        """Let go of it; can be called twice."""


class Upload(Protocol):
    """A request's hold on an upload. Nobody else writes while it is open, or else what others write stays apart until it is recorded: the
    caller's record is then a compare-and-set. The caller closes it on every path.

    First `rewind` says where to go on. Unless `sync` succeeded, what the request appended is cut off again by `close` or by the
    next request's `rewind`.
    """

    @property
    def size(self) -> int:
        """Bytes so far, those of this request included."""

    async def rewind(self, progress: Progress | None) -> None:
        """Go on at the bytes last recorded (None: at nothing); anything after them is cut off. Raises `UploadLost`, `StorageError`."""

    def aim(self, digest: Digest, ready: Callable[[int], Awaitable[None]]) -> None:
        """Say, before `append` to an upload without bytes, which sha256 digest all of them should have.

        A store that cannot rename then puts them in place while they come. They become visible at the end of `append`, only if they have that
        digest, and only after `ready` was awaited with their number; what that raises keeps them out, and is raised. Other stores ignore it.
        """

    async def append(self, pieces: AsyncIterator[bytes]) -> int:
        """Add a stream; gives the number of bytes added. Memory is bounded whatever the stream's length.

        What the stream raises is raised. Raises `StorageFull`, `StorageError`.
        """

    async def sync(self) -> Progress:
        """Make all bytes so far durable."""

    async def digest(self, algorithm: str) -> Digest:
        """The digest of all bytes so far; for another algorithm than sha256 they are read again."""

    async def commit(self, digest: Digest) -> str:
        """Make the (synced) bytes the blob `digest` (sha256, checked by the caller), durably; replaces what was there. Gives the blob's `parts`.

        The upload has no bytes then; the caller discards it when it has recorded what became of it.
        Raises `UploadLost` if the upload was discarded meanwhile, `StorageError`.
        """

    async def close(self) -> None:
        """Let go of the upload; can be called twice."""


class SmallFiles(Protocol):
    """Small files beside the blobs, for the link tree. Their paths are those of `paths`."""

    async def read_file(self, path: str) -> bytes | None:
        """A small file's content (at most 1 MiB), or None if it is not there."""

    async def write_files(self, files: list[tuple[str, bytes]]) -> None:
        """Write small files in order, each atomically; all are durable on return."""

    async def remove(self, paths: list[str]) -> None:
        """Remove files or whole directories, each atomically; durable on return. Directories above them stay."""


class BlobStore(SmallFiles, Protocol):
    """Content-addressed bytes, uploads in progress, and small files for the link tree. Digests are sha256."""

    async def stat(self, digest: Digest, parts: str = "") -> int | None:
        """The size of a blob in bytes, or None if it is not there. One whose `parts` are gone is looked for at its own place."""

    async def open(self, digest: Digest, parts: str = "") -> BlobReader | None:
        """Open a blob for reading, or None if it is not there. `parts` as for `stat`."""

    async def url(self, digest: Digest, parts: str = "") -> str | None:
        """An address at which anybody can read the blob for a while (at least 15 minutes), whole or in ranges, without asking whether it is
        there; None where there is none.
        """

    async def put(self, digest: Digest, content: bytes) -> None:
        """Keep a small blob whose digest the caller has checked; durable and visible at once, or not at all."""

    async def delete(self, digest: Digest, parts: str = "") -> None:
        """Remove a blob, wherever its bytes lie; no error if it is not there."""

    async def join(self, digest: Digest, parts: str) -> bool:
        """Put the bytes that lie in `parts` at their blob's own place as well, durably and checked; the parts stay. Tells whether they are
        there now; False where they are nowhere, or are not this blob. Raises `StorageError`.
        """

    async def drop(self, digest: Digest, parts: str) -> None:
        """Remove the bytes that lie in `parts`, which no blob needs any more; no error if they are not there."""

    async def hold(self, key: UploadKey, wait: float) -> Upload:
        """Hold an upload for writing; one that has no bytes yet is made.

        Waits up to `wait` seconds for another request, so the caller looks at its record of the upload afterwards.
        Raises `UploadBusy`, `StorageReadOnly`, `StorageFull`, `StorageError`.
        """

    async def discard(self, key: UploadKey, parts: str = "") -> None:
        """Remove an upload and its bytes, those recorded in `parts` among them; no error if it is not there. Parts of an upload that was
        committed belong to the blob and are not named here.
        """

    async def sweep(self, before: int, known: Callable[[Sequence[str]], Awaitable[set[str]]]) -> int:
        """Remove what requests that were killed have left of uploads before `before` (milliseconds since 1970); gives the number of things removed.

        `known` gives those of some names (words of `parts`) that a record has.
        """

    def check_room(self, size: int = 0) -> None:
        """Raise `StorageFull` unless `size` more bytes leave the reserve free; `StorageReadOnly` if nothing can be written."""

    async def close(self) -> None:
        """Let go of threads and files."""
