"""Moving an installation: its database to a database server, its bytes and links to another store."""

import asyncio
import os
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.app import place as places
from holdfast.app.place import NETWORK, Place, PlaceError, PlaceTaken
from holdfast.metadata.sqlite import FILE, Mode

if TYPE_CHECKING:
    from holdfast.metadata.copying import Copied, Tell


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


def copy_database(path: Path, url: str, tell: "Tell") -> "list[Copied]":
    """Copy the embedded database at `path` to the PostgreSQL database at `url`; gives what both have now, by table.

    No server may use the embedded one, and none can start meanwhile. Blocks. Raises `PlaceError`, `DatabaseError`, and what `tell` raises: then
    nothing was copied.
    """
    if find_spec("psycopg") is None:
        raise PlaceError("this needs psycopg: pip install 'holdfast[postgres]'")
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
