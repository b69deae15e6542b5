"""The reader of trees of files keeps the port's contract, and survives what only a file system can do to it."""

import asyncio
from pathlib import Path

from holdfast.storage import paths
from holdfast.storage.contract_links import ONE, LinksContract
from holdfast.storage.filesystem import FilesystemBlobStore
from holdfast.storage.filesystem_links import FilesystemLinkReader
from holdfast.storage.links import LinkReader
from holdfast.storage.port import BlobStore


class TestFilesystemLinkReader(LinksContract):
    """On a directory."""

    def open(self) -> tuple[BlobStore, LinkReader]:
        return FilesystemBlobStore(self.directory), FilesystemLinkReader(self.directory)

    async def place(self, path: str, content: bytes) -> None:
        target = self.directory / paths.ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def tree(directory: Path) -> Path:
    """The tree's root with a repository `a` that has one tag."""
    link = directory / paths.ROOT / paths.current_link("a", "v1")
    link.parent.mkdir(parents=True)
    link.write_text(ONE)
    return directory / paths.ROOT


def test_symbolic_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    repositories = tree(tmp_path) / "repositories"
    (repositories / "b").mkdir()
    (repositories / "b/up").symlink_to(repositories)
    (repositories / "c").symlink_to(repositories / "a")

    async def names() -> list[str]:
        return [name async for page in FilesystemLinkReader(tmp_path).repositories() for name in page.names]

    assert asyncio.run(names()) == ["a", "c"]


def test_names_that_are_no_text_are_told(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / "repositories" / "caf\udce9").mkdir()
    (root / paths.tag("a", "caf\udce9")).mkdir()

    async def work() -> None:
        reader = FilesystemLinkReader(tmp_path)
        pages = [page async for page in reader.repositories()]
        assert [len(page.oddities) for page in pages] == [1]
        found = await reader.scan("a")
        assert (list(found.tags), len(found.oddities)) == (["v1"], 1)

    asyncio.run(work())


def test_a_link_that_is_a_directory_or_a_pipe_does_not_hold_it_up(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / paths.layer_link("a", ONE)).mkdir(parents=True)
    (root / paths.current_link("a", "v1")).unlink()
    (root / paths.current_link("a", "v1")).mkdir()

    async def work() -> None:
        found = await FilesystemLinkReader(tmp_path).scan("a")
        assert [link.target for link in (*found.layers.values(), *found.tags.values())] == [None, None]
        assert {item.why for item in found.oddities} == {"cannot be read"}

    asyncio.run(work())
