"""Moving an installation: its database to a database server, its bytes and links to another store."""

import asyncio
import os
from contextlib import AsyncExitStack, ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.app import place as places
from holdfast.app.back_ends import stores
from holdfast.app.place import NETWORK, Place, PlaceError, PlaceTaken
from holdfast.config.settings import Settings
from holdfast.metadata.sqlite import FILE, Mode
from holdfast.registry.copying import End, NoCopy, StoreCopier, Wanted
from holdfast.registry.report import Report, Tell
from holdfast.storage import paths
from holdfast.storage.object_settings import described

if TYPE_CHECKING:
    from holdfast.metadata.copying import Copied
    from holdfast.metadata.copying import Tell as TellRows


def database_directory(path: Path) -> Path:
    """The directory of the embedded database that a path names: itself, or the one with that file. Raises `PlaceError`."""
    directory = path.absolute()
    if directory.name == FILE and not directory.is_dir():
        directory = directory.parent
    if (directory / FILE).is_file():
        return directory
    below = directory / "holdfast"
    hint = f"; did you mean {below}?" if (below / FILE).is_file() else ": give the directory that has it"
    raise PlaceError(f"there is no {FILE} in {directory}{hint}")


def copy_database(path: Path, url: str, tell: "TellRows") -> "list[Copied]":
    """Copy the embedded database at `path` to the PostgreSQL database at `url`; gives what both have now, by table.

    No server may use the embedded one, and none can start meanwhile. Blocks. Raises `PlaceError`, `DatabaseError`, and what `tell` raises: then
    nothing was copied.
    """
    if find_spec("psycopg") is None:
        raise PlaceError("this needs psycopg: in a checkout of Holdfast, pip install '.[postgres]'")
    from holdfast.metadata import copying  # noqa: PLC0415 - an extra

    directory = database_directory(path)
    mode = _mode(directory)
    with ExitStack() as stack:
        try:
            for file in places.lock(Place(None, directory, mode), "copying the database"):
                stack.callback(os.close, file)
        except PlaceTaken as taken:
            raise PlaceError(f"the database in {directory} is in use: {taken.who}; stop that first") from None
        asyncio.run(copying.prepare(directory, mode, url))
        return copying.copy(directory, url, tell)


def _mode(directory: Path) -> Mode:
    """How the database in a directory can be opened."""
    if not all(os.access(path, os.W_OK) for path in (directory, directory / FILE)):
        return "read-only"
    kind = places.file_system(directory)
    return "exclusive" if kind in NETWORK or kind.startswith("fuse.") else "shared"


async def copy_store(source: Settings, target: Settings, wanted: Wanted, tell: Tell) -> Report:
    """Copy the bytes and links of the store that `source` names, which may be served meanwhile, to that of `target`, which may not.

    Interrupted at any moment, the next run goes on. Raises `PlaceError`, `StorageError`.
    """
    first, second = _place_of(source), _place_of(target)
    if first.bytes_in == second.bytes_in:
        raise PlaceError(f"both are {first.bytes_in}: name two stores")
    if first.root and not (first.root / paths.ROOT).is_dir():
        raise PlaceError(
            f"there is no registry in {first.root}: give the directory that storage.filesystem.rootdirectory names"
        )
    async with AsyncExitStack() as stack:
        if second.root:
            for file in _taken(second.root):
                stack.callback(os.close, file)
        ends = _end(source, first, stack), _end(target, second, stack)
        try:
            return await StoreCopier(ends[0], ends[1], wanted, tell).run()
        except NoCopy as error:
            raise PlaceError(str(error)) from None


def _place_of(settings: Settings) -> Place:
    """Where the bytes are; nothing is made there."""
    bucket = described(settings.storage)
    if bucket:
        return Place(None, None, "shared", bucket=bucket)
    if settings.storage.filesystem is None:
        raise PlaceError(
            "what is in memory cannot be copied: name a directory, or a configuration file with another store"
        )
    return Place(Path(settings.storage.filesystem.rootdirectory).resolve(), None, "shared")


def _taken(root: Path) -> list[int]:
    """Take a directory, so that no server uses it, and no other copy is made to it; gives the locks' descriptors."""
    try:
        (root / paths.ROOT).mkdir(parents=True, exist_ok=True)
        return places.lock(Place(root, None, "shared"), "copying to it")
    except PlaceTaken as taken:
        raise PlaceError(f"{root} is in use: {taken.who}; only what is not served can be copied to") from None
    except OSError as error:
        raise PlaceError(f"cannot keep data in {root}: {error.filename}: {error.strerror}") from None


def _end(settings: Settings, place: Place, stack: AsyncExitStack) -> End:
    store, links = stores(settings, place)
    stack.push_async_callback(store.close)
    assert links  # noqa: S101 - it is not in memory
    return End(store, links, place.bytes_in)
