"""Liveness and readiness."""

from dataclasses import dataclass

from holdfast.api.gate import Gate
from holdfast.metadata.port import Database, DatabaseError
from holdfast.metadata.queries import meta
from holdfast.storage.port import BlobStore, StorageError, StorageFull, StorageReadOnly


@dataclass(frozen=True, slots=True)
class Health:
    """Looks whether the registry can read and write at this moment."""

    database: Database
    store: BlobStore
    gate: Gate
    writable: bool
    """Whether the server was started where it can write."""

    async def report(self) -> dict[str, object]:
        """`read` and `write` with the reason where one of them does not work."""
        report: dict[str, object] = {"read": True, "write": True}
        try:
            await self.database.read(lambda c: meta.get(c, "start"))
        except DatabaseError as error:
            return {"read": False, "write": False, "reason": f"database: {error}"}
        if not self.gate.is_open:
            progress = await self.gate.progress()
            return {
                "read": False,
                "write": False,
                "reason": "the names of what is stored are being read",
                "progress": progress,
            }
        if not self.writable:
            return report | {
                "write": False,
                "reason": "the server was started read-only, where it cannot write: it serves pulls",
            }
        try:
            self.store.check_room()
        except StorageFull:
            report |= {"write": False, "reason": "disk: less than storage.filesystem.minfree bytes are free"}
        except StorageReadOnly:
            report |= {"write": False, "reason": "disk: read-only"}
        except (StorageError, OSError) as error:
            return {"read": False, "write": False, "reason": f"storage: {error}"}
        return report
