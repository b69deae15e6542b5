"""Multipart uploads of an S3 bucket that were begun and never completed: what a process that was killed leaves. No listing of objects shows
them, and they are paid for; obstore can neither list nor abort them.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote
from xml.etree import ElementTree

from holdfast.storage.port import StorageError
from holdfast.storage.s3_requests import S3Address, request


@dataclass(frozen=True, slots=True)
class Begun:
    """A multipart upload: the key that it is for, its id, and when it was begun (milliseconds since 1970)."""

    key: str
    id: str
    at: int


class S3Multipart:
    """The unfinished multipart uploads of one bucket."""

    def __init__(self, address: S3Address) -> None:
        self._address = address

    async def begun(self, prefix: str) -> list[Begun]:
        """All of them whose keys lie below `prefix`. Raises `StorageError`."""
        return await asyncio.to_thread(lambda: list(self._begun(f"{prefix}/" if prefix else "")))

    async def remove(self, prefix: str, before: int) -> int:
        """Abort those below `prefix` that were begun before `before` (milliseconds since 1970); gives their number. Raises `StorageError`."""
        old = [upload for upload in await self.begun(prefix) if upload.at < before]
        for upload in old:
            await asyncio.to_thread(self._abort, upload)
        return len(old)

    def _abort(self, upload: Begun) -> None:
        with suppress(FileNotFoundError):  # it was completed or aborted meanwhile
            request(self._address, "DELETE", upload.key, {"uploadId": upload.id})

    def _begun(self, prefix: str) -> Iterator[Begun]:
        query = {"uploads": "", "prefix": prefix, "encoding-type": "url"}
        while True:
            answer = self._list(query)
            for upload in answer.iterfind("{*}Upload"):
                begun = datetime.fromisoformat(upload.findtext("{*}Initiated", ""))
                key = unquote(upload.findtext("{*}Key", ""))
                # Some stores do not look at the prefix.
                if key.startswith(prefix):
                    yield Begun(key, upload.findtext("{*}UploadId", ""), int(begun.timestamp() * 1000))
            if answer.findtext("{*}IsTruncated") != "true":
                return
            query["key-marker"] = unquote(answer.findtext("{*}NextKeyMarker", ""))
            query["upload-id-marker"] = answer.findtext("{*}NextUploadIdMarker", "")

    def _list(self, query: dict[str, str]) -> ElementTree.Element:
        try:
            return ElementTree.fromstring(request(self._address, "GET", "", query))  # noqa: S314 - the store has our trust
        except FileNotFoundError:
            raise StorageError(f"there is no bucket {self._address.bucket} at {self._address.endpoint}") from None
        except ElementTree.ParseError:
            raise StorageError(f"{self._address.endpoint} answered with what is not XML") from None
