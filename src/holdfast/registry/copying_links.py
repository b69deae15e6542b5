"""The files of a repository's part of the tree, as a copy of it needs them."""

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.storage import paths
from holdfast.storage.links import Link, LinkReader, Oddity


@dataclass(frozen=True, slots=True)
class Files:
    """All small files of a repository: what is in each by its path, None where that cannot be read. `readable`: whether these are all."""

    contents: dict[str, bytes | None]
    readable: bool
    oddities: list[Oddity]


async def files_of(reader: LinkReader, name: str, *, thoroughly: bool) -> Files:
    """Read a repository: links of blobs, of manifests, of tags, in this order. Links that are damaged are given as they should be."""
    links = await reader.scan(name, thoroughly=thoroughly)
    types = await reader.media_types(name, list(links.revisions))
    histories = await reader.histories(name, list(links.tags))
    files = {paths.layer_link(name, digest): _text(link) for digest, link in links.layers.items()}
    for digest, link in links.revisions.items():
        directory = paths.revision(name, digest)
        if digest in types:
            files[f"{directory}/mediatype"] = types[digest].encode()
        files[f"{directory}/link"] = _text(link)
    for tag, link in links.tags.items():
        targets = {*histories.get(tag, ()), *([link.target] if link.target else [])}
        files |= {paths.index_link(name, tag, digest): digest.encode() for digest in sorted(targets)}
        files[paths.current_link(name, tag)] = _text(link)
    return Files(files, links.readable, links.oddities)


def _text(link: Link) -> bytes | None:
    return link.target.encode() if link.target else None


def group_of(files: Iterable[tuple[str, bytes]]) -> list[list[tuple[str, bytes]]]:
    """Files by what they belong to: blobs, manifests, tags."""
    groups: list[list[tuple[str, bytes]]] = [[], [], []]
    for path, content in files:
        groups[0 if "/_layers/" in path else 1 if "/_manifests/revisions/" in path else 2].append((path, content))
    return groups


def removable(there: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """What to remove, so that of the files that are `there` only `wanted` ones are left: directories, or files."""
    kept = set(wanted)
    gone = [path for path in there if path not in kept]
    places = {_place(path) for path in gone if path.endswith("/link")}
    return [*sorted(places), *(path for path in gone if not path.endswith("/link") and _place(path) not in places)]


def _place(path: str) -> str:
    """The directory that goes with a file: of a tag's current link the whole tag."""
    directory = path.rpartition("/")[0]
    return directory.removesuffix("/current")
