"""What clients do while a server is killed or its disk fails, and where names move meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

from durability.ledger import DATABASE, TREE, Ledger, mount, push_blob, push_chunks, push_manifest, remove_tag
from harness.content import OCI_CONFIG, Content, blob, image
from harness.repository import Repository

NAME = "crash/point"
SETTINGS = {"server.workers": "1", "storage.delete.enabled": "true"}
CONFIG, LAYER, NEW, MOUNTED = (
    blob("config", media_type=OCI_CONFIG),
    blob("layer"),
    blob("new", 300_000),
    blob("mounted"),
)
FIRST, SECOND, THIRD = image(CONFIG, [LAYER]), image(CONFIG, [LAYER], annotations={"n": "2"}), image(CONFIG, [])


def place(content: Content) -> str:
    """A blob's directory."""
    encoded = content.digest.removeprefix("sha256:")
    return f"{TREE}/blobs/sha256/{encoded[:2]}/{encoded}"


def own(path: str, content: Content | None = None) -> str:
    """A directory of the repository; of a digest, if there is content."""
    return f"{TREE}/repositories/{NAME}/{path}" + (f"/{content.digest.replace(':', '/')}" if content else "")


@dataclass(frozen=True)
class Action:
    """Something that a client does; the directories where it makes names, in order, and those that it takes away; and the number
    of transactions until the answer, the one at the server's start included.
    """

    name: str
    act: Callable[[Ledger, Repository], None]
    directories: tuple[str, ...]
    transactions: int
    removed: tuple[str, ...] = ()


LOG = f"{DATABASE}-wal"
TAG = own("_manifests/tags/tag")
ACTIONS = [
    Action(
        "blob",
        lambda ledger, repository: push_blob(ledger, repository, NEW),
        (place(NEW), own("_layers", NEW)),
        4,
    ),
    Action(
        "chunks",
        lambda ledger, repository: push_chunks(ledger, repository, NEW, 100_000),
        (place(NEW), own("_layers", NEW)),
        7,
    ),
    Action(
        "mount",
        lambda ledger, repository: mount(ledger, repository, "crash/source", MOUNTED),
        (own("_layers", MOUNTED),),
        2,
    ),
    Action(
        "manifest",
        lambda ledger, repository: push_manifest(ledger, repository, THIRD, "tag"),
        (
            *(place(THIRD), own("_manifests/revisions", THIRD)),
            *(f"{TAG}/index/{THIRD.digest.replace(':', '/')}", f"{TAG}/current"),
        ),
        3,
    ),
    Action(
        "retag",
        lambda ledger, repository: push_manifest(ledger, repository, SECOND, "tag"),
        (f"{TAG}/index/{SECOND.digest.replace(':', '/')}", f"{TAG}/current"),
        3,
    ),
    Action(
        "untag",
        lambda ledger, repository: remove_tag(ledger, repository, "tag"),
        (),
        2,
        (TAG,),
    ),
]
