"""Liveness and readiness."""

from dataclasses import dataclass

from holdfast.api.gate import Gate
from holdfast.metadata.port import Database, DatabaseError
from holdfast.metadata.queries import meta
from holdfast.model.errors import UNAVAILABLE, Failure
from holdfast.observability.checks import Checks
from holdfast.storage import paths
from holdfast.storage.port import BlobStore, StorageError, StorageFull, StorageReadOnly


@dataclass(frozen=True, slots=True)
class Health:
    """Looks whether the registry can read and write at this moment."""

    database: Database
    store: BlobStore
    gate: Gate
    checks: Checks
    read_only: str
    """Why nothing can be written; empty where it can."""

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
                "reason": self._start(progress),
                "progress": progress,
            }
        if self.checks.failing:
            return {"read": False, "write": False, "reason": "; ".join(self._failing())}
        if self.read_only:
            return report | {"write": False, "reason": self.read_only}
        try:
            self.store.check_room()
        except StorageFull:
            report |= {"write": False, "reason": "disk: less than storage.filesystem.minfree bytes are free"}
        except StorageReadOnly:
            report |= {"write": False, "reason": "disk: read-only"}
        except (StorageError, OSError) as error:
            return {"read": False, "write": False, "reason": f"storage: {error}"}
        return report

    def require_checks(self) -> None:
        """Raise `Failure(UNAVAILABLE)` while a health check fails."""
        if self.checks.failing:
            raise Failure(
                UNAVAILABLE,
                "a health check fails, so the registry is out of service; /readyz tells which one",
                headers=[("Retry-After", "10")],
            )

    def _start(self, progress: dict[str, object]) -> str:
        """How far the start is, in words."""
        if self.gate.waits_for and not progress:
            return f"waiting for what this server needs: {self.gate.waits_for}"
        return "the names of what is stored are being read"

    def _failing(self) -> list[str]:
        return [f"health check {name}: {reason}" for name, reason in self.checks.failing.items()]


async def look_at_storage(database: Database, store: BlobStore) -> str:
    """What is wrong with the storage; empty if nothing is. A full disk is not: pulls go on.

    The root has a file that says which database it belongs to. Where it cannot be read, a disk is gone.
    """
    try:
        known = await database.read(lambda c: meta.get(c, "instance"))
        if known is None:
            return ""
        found = await store.read_file(paths.INSTANCE)
    except (DatabaseError, StorageError, OSError) as error:
        return str(error) or type(error).__name__
    if (found or b"").decode("ascii", "replace").strip() != known:
        return f"{paths.INSTANCE} in the root directory is missing or another one: is a disk not mounted?"
    return ""
