"""docker-registry 2.8.2 and Holdfast in turn on one directory, each doing things at random, and things done to it while neither runs."""

import os
import random
import shutil
import sys
from pathlib import Path
from uuid import UUID

from durability.ledger import TREE
from harness.content import DOCKER_LIST, OCI_INDEX, Content, blob, config, image, index
from harness.http import Client
from harness.repository import Repository
from harness.server import Server
from registry2.pushing import AnyRepository
from registry2.servers import collect_garbage, docker_registry, holdfast
from registry2.survey import Names, Survey, differences, survey
from registry2.test_both_ways import ALIKE

TAGS = ["latest", "1", "1.0", "1.0-a", "edge"]
MOVES = 15
"""What each server does in its turn."""


def some_images() -> list[Content]:
    """Images that share blobs, and two that refer to others."""
    layers = [blob(f"round {number}", 10 ** (number % 4 + 1)) for number in range(6)]
    images = [image(config(f"round {number}"), [layers[number], layers[number - 1]]) for number in range(6)]
    return [*images, image(config("signature"), [layers[0]], subject=images[0], artifactType="application/x.signature")]


class Mover:
    """Does things at random with one server; `ours`: the server is Holdfast, which can do more."""

    def __init__(self, server: Server, names: Names, chance: random.Random, *, ours: bool) -> None:
        self.chance, self.names, self.ours = chance, names, ours
        self._client = Client(server)
        self._contents = {content.digest: content for content in self._blobs()}

    @staticmethod
    def _blobs() -> list[Content]:
        layers = [blob(f"round {number}", 10 ** (number % 4 + 1)) for number in range(6)]
        return [*layers, *(config(f"round {number}") for number in range(6)), config("signature")]

    def repository(self) -> AnyRepository:
        """One of few repositories, so that things meet."""
        return AnyRepository(self._client, self.chance.choice(ALIKE), self.names)

    def image(self) -> Content:
        return self.chance.choice(some_images())

    def tags(self) -> list[str]:
        return self.chance.sample(TAGS, self.chance.randint(1, 2))

    def bring(self, repository: AnyRepository, content: Content) -> None:
        """Let a repository have all blobs of an image: pushed at once, in chunks, under sha512, or mounted."""
        for entry in (content.json()["config"], *content.json()["layers"]):
            part = self._contents[entry["digest"]]
            way = self.chance.randrange(4)
            if way == 0:
                repository.push_chunks(part, 400)
            elif way == 1:
                source = self.repository()
                source.push_blob(part)
                repository.mount(part, source)
            else:
                repository.push_blob(part, "sha512" if way == 2 and self.chance.random() < 0.3 else "sha256")

    def push(self) -> None:
        """An image under some tags."""
        repository, content = self.repository(), self.image()
        self.bring(repository, content)
        repository.push_manifest(content, *self.tags())

    def push_index(self) -> None:
        """An index or list of two images, with them."""
        repository = self.repository()
        images = self.chance.sample(some_images(), 2)
        for content in images:
            self.bring(repository, content)
            repository.push_manifest(content)
        kind = self.chance.choice([OCI_INDEX, DOCKER_LIST])
        repository.push_manifest(index(images, media_type=kind), *self.tags())

    def retag(self) -> None:
        """A tag moved to a manifest that is there."""
        repository = self.repository()
        manifests = sorted(self.names.manifests[repository.name])
        found = repository.get(f"manifests/{self.chance.choice(manifests)}", [("Accept", "*/*")]) if manifests else None
        if found and found.status == 200 and b'"manifests"' not in found.body:
            content = Content(found.body, found.headers["Content-Type"])
            self.bring(repository, content)
            repository.push_manifest(content, *self.tags())

    def delete_manifest(self) -> None:
        repository = self.repository()
        for name in (
            self.chance.sample(sorted(self.names.manifests[repository.name]), 1) if self._any(repository) else []
        ):
            repository.delete(f"manifests/{name}").expect(202, 404)

    def _any(self, repository: Repository) -> bool:
        return bool(self.names.manifests[repository.name])

    def delete_blob(self) -> None:
        """A blob, which docker-registry deletes whether or not an image needs it."""
        repository = self.repository()
        for name in self.chance.sample(sorted(self._contents), 2):
            repository.delete(f"blobs/{name}").expect(202, 404, 405)

    def leave_upload(self) -> None:
        self.repository().leave_upload(b"left behind", 5)

    def delete_tag(self) -> None:
        if self.ours:
            self.repository().delete(f"manifests/{self.tags()[0]}").expect(202, 404)

    def delete_repository(self) -> None:
        if self.ours and self.chance.random() < 0.3:
            self.repository().delete("_holdfast/repository").expect(202, 404)

    def act(self, times: int) -> None:
        """Do so many things."""
        moves = [Mover.push] * 6 + [Mover.push_index] * 2 + [Mover.retag] * 3 + [Mover.delete_manifest] * 2
        moves += [Mover.delete_blob, Mover.leave_upload, Mover.delete_tag, Mover.delete_tag, Mover.delete_repository]
        for _ in range(times):
            self.chance.choice(moves)(self)


def remove_a_repository(directory: Path, chance: random.Random) -> None:
    """As people do: rm -rf."""
    shutil.rmtree(directory / "root" / TREE / "repositories" / chance.choice(ALIKE), ignore_errors=True)


def remove_a_tag(directory: Path, chance: random.Random) -> None:
    """As scripts do for a registry that cannot delete tags."""
    tags = sorted((directory / "root" / TREE / "repositories").glob("**/_manifests/tags/*"))
    if tags:
        shutil.rmtree(chance.choice(tags))


def leave_temporary_files(directory: Path, chance: random.Random) -> None:
    """What registry:3 leaves when it is killed while it writes links."""
    links = sorted((directory / "root" / TREE / "repositories").rglob("link"))
    for link in chance.sample(links, min(5, len(links))):
        link.with_name(f"link.{UUID(int=chance.getrandbits(128))}.tmp").write_bytes(link.read_bytes()[:20])


def garbage(directory: Path, chance: random.Random) -> None:
    collect_garbage(directory)


def garbage_and_untagged(directory: Path, chance: random.Random) -> None:
    collect_garbage(directory, "-m")


def without_bytes(directory: Path) -> set[str]:
    """What has a link but no bytes, as the garbage collector leaves it: registry:2 has it again as soon as anybody pushes the same bytes."""
    base = directory / "root" / TREE
    found = set()
    for link in (base / "repositories").glob("**/_layers/*/*/link"):
        algorithm, encoded = link.parts[-3:-1]
        target = link.read_text().partition(":")[2]
        if not (base / "blobs/sha256" / target[:2] / target / "data").exists():
            name = link.parents[3].relative_to(base / "repositories")
            found |= {f"{name} blobs/{algorithm}:{encoded}", f"{name} blobs/sha256:{target}"}
    return found


def nothing(directory: Path, chance: random.Random) -> None:
    """Only the other server."""


HAPPENINGS = [nothing, garbage, remove_a_repository, remove_a_tag, leave_temporary_files, garbage_and_untagged]


def test_rounds(tmp_path: Path, long: bool) -> None:
    """Set SEED to draw the same again."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
    chance = random.Random(seed)
    names = Names()
    for name in ALIKE:
        names.repository(name)
    left: Survey = {}
    doubtful: set[str] = set()

    def look(server: Server) -> Survey:
        return {name: answer for name, answer in survey(server, names).items() if name not in doubtful}

    for number in range(100 if long else 3):
        sys.stderr.write(f"SEED={seed} round {number}\n")
        with docker_registry(tmp_path) as server:
            assert differences({name: left[name] for name in left.keys() - doubtful}, look(server)) == []
            Mover(server, names, chance, ours=False).act(MOVES)
        for happening in chance.sample(HAPPENINGS, 2):
            sys.stderr.write(f"  {happening.__name__}\n")
            happening(tmp_path, chance)
        doubtful |= without_bytes(tmp_path)
        with docker_registry(tmp_path) as server:
            theirs = look(server)
        with holdfast(tmp_path) as server:
            assert differences(look(server), theirs) == []
            Mover(server, names, chance, ours=True).act(MOVES)
            left = look(server)
