"""What an importer meets: one function for each trap, which lays it in a repository of its own and says what should come of it."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.content import (
    DOCKER_IMAGE,
    DOCKER_SCHEMA_1,
    OCI_IMAGE,
    Content,
    blob,
    digest,
    index,
    manifest,
)
from registry2.volume import Volume, sha512

STRANGER = digest(b"nowhere to be found")


@dataclass
class Outcome:
    """What should come of a trap.

    `there`, `absent`: what is served and what is not, such as `name/manifests/tag`. `tags`: the lists of tags.
    `told`: for what the report tells, a part of its path and words of the reason. `referrers`: the one that a list has.
    """

    there: dict[str, Content] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    tags: dict[str, list[str]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    referrers: dict[str, Content] = field(default_factory=dict)

    def image(self, name: str, content: Content, *tags: str) -> "Outcome":
        """A manifest is served, by digest and by these tags, which are all."""
        self.there |= {f"{name}/manifests/{reference}": content for reference in (content.digest, *tags)}
        self.tags[name] = sorted(tags)
        return self

    def no(self, *paths: str) -> "Outcome":
        """Nothing is served there."""
        self.absent += paths
        return self

    def tell(self, where: str, why: str) -> "Outcome":
        """The report tells of it."""
        self.told[where] = why
        return self


Trap = Callable[[Volume, str], Outcome]


def empty_current_link(volume: Volume, name: str) -> Outcome:
    """registry:2 was killed while it moved a tag: the index says where to."""
    former, content = volume.image(name, "kept"), volume.image(name)
    link = volume.tag(name, "moved", content.digest)
    link.write_bytes(b"")
    found = Outcome().image(name, former, "kept").image(name, content, "moved")
    found.tags[name] = ["kept", "moved"]
    return found.tell(f"{name}/_manifests/tags/moved", "damaged")


def only_index_of_a_tag(volume: Volume, name: str) -> Outcome:
    """It was killed a moment earlier: the tag points to nothing yet."""
    content = volume.image(name, "kept")
    link = volume.tag(name, "coming", content.digest)
    link.unlink()
    return (
        Outcome().image(name, content, "kept").no(f"{name}/manifests/coming").tell(f"{name}/_man", "points to nothing")
    )


def empty_revision_link(volume: Volume, name: str) -> Outcome:
    """Its place says what should be in it."""
    content = volume.image(name, "tag")
    volume.revision(name, content.digest).write_bytes(b"")
    return Outcome().image(name, content, "tag").tell(f"{name}/_manifests/revisions", "damaged")


def empty_layer_link(volume: Volume, name: str) -> Outcome:
    content = volume.image(name, "tag")
    layer = blob(f"volume {volume.made}")
    volume.layer(name, layer.digest).write_bytes(b"")
    found = Outcome().image(name, content, "tag").tell(f"{name}/_layers", "damaged")
    found.there[f"{name}/blobs/{layer.digest}"] = layer
    return found


def temporary_files(volume: Volume, name: str) -> Outcome:
    """registry:3 was killed before it renamed them."""
    content = volume.image(name, "tag")
    for link in (volume.tag(name, "tag", content.digest), volume.revision(name, content.digest)):
        link.with_name("link.0a1b2c3d-0000-4000-8000-000000000000.tmp").write_bytes(b"sha256:12")
    unfinished = volume.path("repositories", name, "_manifests", "revisions", *STRANGER.split(":"), "link.0a.tmp")
    unfinished.write_text(STRANGER)
    coming = volume.path("repositories", name, "_manifests/tags/coming/current/link.0b.tmp")
    coming.write_text(content.digest)
    found = Outcome().image(name, content, "tag").no(f"{name}/manifests/{STRANGER}", f"{name}/manifests/coming")
    return found.tell(f"revisions/{STRANGER.replace(':', '/')}/link.0a.tmp", "not finished")


def dangling_tags(volume: Volume, name: str) -> Outcome:
    """On a manifest without link, on one without bytes, on one whose link is left but not its bytes."""
    content = volume.image(name, "tag")
    unlinked = volume.blob(Content(b"{}", OCI_IMAGE))
    volume.tag(name, "unlinked", unlinked.digest)
    volume.tag(name, "unknown", STRANGER)
    lost = volume.image(name, "lost")
    volume.data(lost.digest).unlink()
    found = Outcome().image(name, content, "tag")
    found.no(*(f"{name}/manifests/{one}" for one in ("unlinked", "unknown", "lost", lost.digest, unlinked.digest)))
    for tag in ("unlinked", "unknown", "lost"):
        found.tell(f"{name}/_manifests/tags/{tag}", "tag on a manifest that is not there")
    return found.tell(lost.digest.partition(":")[2], "bytes are not there")


def bad_digests_in_links(volume: Volume, name: str) -> Outcome:
    """No digest, an unknown algorithm, upper case; a line end alone does no harm."""
    content = volume.image(name, "tag")
    for number, text in enumerate(("garbage", "md5:" + "0" * 32, content.digest.upper(), "../../../etc/passwd")):
        place = ("repositories", name, "_manifests/tags", f"bad{number}", "current")
        volume.link(*place, target=text)
    volume.tag(name, "line", content.digest).write_text(content.digest + "\n")
    found = Outcome().image(name, content, "line", "tag")
    found.no(*(f"{name}/manifests/bad{number}" for number in range(4)))
    return found.tell(f"{name}/_manifests/tags/bad0", "damaged")


def link_to_something_else(volume: Volume, name: str) -> Outcome:
    """A manifest's link with the digest of another one: it must not be served under a name that is not its own."""
    content = volume.image(name, "tag")
    volume.revision(name, STRANGER, target=content.digest)
    return Outcome().image(name, content, "tag").no(f"{name}/manifests/{STRANGER}").tell(f"{name}/_man", "")


def sha512_alias(volume: Volume, name: str) -> Outcome:
    """A blob that was pushed under its sha512 digest; and one that was deleted, which leaves the link under this name."""
    content, both, one = volume.image(name, "tag"), volume.blob(blob("both")), volume.blob(blob("one"))
    volume.layer(name, both.digest)
    for part in (both, one):
        volume.layer(name, sha512(part), target=part.digest)
    found = Outcome().image(name, content, "tag")
    found.there |= {f"{name}/blobs/{both.digest}": both, f"{name}/blobs/{sha512(both)}": both}
    return found.no(f"{name}/blobs/{one.digest}", f"{name}/blobs/{sha512(one)}")


def blob_without_link(volume: Volume, name: str) -> Outcome:
    """Bytes that no repository has are nobody's."""
    content, loose = volume.image(name, "tag"), volume.blob(blob("loose"))
    return Outcome().image(name, content, "tag").no(f"{name}/blobs/{loose.digest}")


def links_without_blob(volume: Volume, name: str) -> Outcome:
    """As a garbage collector leaves them."""
    content = volume.image(name, "tag")
    volume.layer(name, STRANGER)
    found = Outcome().image(name, content, "tag").no(f"{name}/blobs/{STRANGER}")
    return found.tell(f"{name}/_layers/{STRANGER.replace(':', '/')}", "a blob that is not there")


def empty_directories_of_deleted_things(volume: Volume, name: str) -> Outcome:
    """docker-registry removes links and leaves their directories, and a media type that Holdfast wrote beside."""
    content, gone = volume.image(name, "tag"), volume.image(name)
    link = volume.revision(name, gone.digest)
    link.with_name("mediatype").write_text(DOCKER_IMAGE)
    link.unlink()
    layer = digest(b"a layer")
    volume.layer(name, layer).unlink()
    return Outcome().image(name, content, "tag").no(f"{name}/manifests/{gone.digest}", f"{name}/blobs/{layer}")


def image_that_lacks_its_layer(volume: Volume, name: str) -> Outcome:
    """Somebody deleted a blob that an image needs: the image is still listed, and the report names it."""
    content = volume.image(name, "tag")
    layer = content.json()["layers"][0]["digest"]
    volume.layer(name, layer).unlink()
    found = Outcome().image(name, content, "tag").no(f"{name}/blobs/{layer}")
    return found.tell(f"{name}@{content.digest}", "lacks blobs")


def uploads(volume: Volume, name: str) -> Outcome:
    """Old, with an empty and with no start, with hash states, without bytes: none of them can be gone on with."""
    content = volume.image(name, "tag")
    volume.upload(name, b"half", None)
    volume.upload(name, b"half", "")
    volume.upload(name, None)
    state = volume.upload(name, b"half") / "hashstates/sha256"
    state.mkdir(parents=True)
    (state / "4").write_bytes(b"sha\x03")
    volume.path("repositories", name, "_uploads/no-uuid/data").write_bytes(b"x")
    return Outcome().image(name, content, "tag")


def schema_1(volume: Volume, name: str) -> Outcome:
    """An image of 2015, with the signatures that docker-registry kept beside it, and a tag on it."""
    content = volume.image(name, "tag")
    fields = {"name": name, "tag": "old", "architecture": "amd64", "fsLayers": [], "history": [], "signatures": [{}]}
    old = volume.manifest(name, manifest(DOCKER_SCHEMA_1, {**fields, "mediaType": None}, schema=1), "old")
    signature = digest(b"signature")
    place = volume.revision(name, old.digest).parent / "signatures" / signature.replace(":", "/")
    place.mkdir(parents=True)
    (place / "link").write_text(signature)
    found = Outcome().image(name, content, "tag").no(f"{name}/manifests/old", f"{name}/manifests/{old.digest}")
    return found.tell(old.digest, "schema 1").tell(f"{name}/_manifests/tags/old", "not there")


def media_type_of_its_own(volume: Volume, name: str) -> Outcome:
    """Manifests that do not say their type: what Holdfast wrote beside the link tells it; else an image is taken for OCI's."""
    content = volume.image(name, "tag")
    fields = {**content.json(), "mediaType": None}
    guessed = volume.manifest(name, manifest(OCI_IMAGE, fields), "guessed")
    told = volume.manifest(name, manifest(DOCKER_IMAGE, {**fields, "annotations": {"a": "b"}}), "told")
    own = volume.manifest(name, manifest("application/x.own+json", {"mediaType": None}), "own")
    for one in (told, own):
        volume.revision(name, one.digest).with_name("mediatype").write_text(one.media_type)
    unknown = volume.manifest(name, Content(b'{"a": 1}', "application/x.lost+json"), "unknown")
    found = Outcome()
    for one, tag in ((content, "tag"), (guessed, "guessed"), (told, "told"), (own, "own")):
        found.image(name, one, tag)
    found.tags[name] = ["guessed", "own", "tag", "told"]
    return found.no(f"{name}/manifests/unknown").tell(unknown.digest, "not a manifest")


def referrers_under_a_tag(volume: Volume, name: str) -> Outcome:
    """Where there was no referrers API, clients pushed an index under a tag made of the digest."""
    content = volume.image(name, "tag")
    signature = volume.image(name, subject=content, artifactType="application/x.signature")
    tag = content.digest.replace(":", "-")
    listing = volume.manifest(name, index([signature.descriptor()]), tag)
    found = Outcome().image(name, content, "tag").image(name, signature).image(name, listing, tag)
    found.tags[name] = ["tag", tag]
    found.referrers[f"{name}/referrers/{content.digest}"] = signature
    return found


def strange_files(volume: Volume, name: str) -> Outcome:
    """What desktops, file systems and people leave, and what lies where a directory should."""
    content = volume.image(name, "tag")
    for place in (
        ".DS_Store",
        "_manifests/notes.txt",
        "_manifests/tags/README",
        "_layers/sha256/.nfs0001",
        "_future/x/link",
    ):
        volume.path("repositories", name, place).write_text("strange")
    volume.path("lost+found", "x").write_text("strange")
    volume.path("blobs", "README").write_text("strange")
    volume.path("blobs/md5/00", "x").write_text("strange")
    volume.path("repositories", name, "a-file").write_text("strange")
    volume.path("repositories", f"{name}-file", "_manifests", "tags").write_text("strange")
    found = Outcome().image(name, content, "tag").no(f"{name}-file/manifests/latest")
    return found.tell(f"{name}/_manifests/tags/README", "tag").tell(f"{name}/a-file", "")


def bad_names(volume: Volume, name: str) -> Outcome:
    """Repositories and tags that cannot be asked for."""
    content = volume.image(name, "tag", *["t" * 128])
    for bad in (f"{name}/Upper", f"{name}/a..b", f"{name}/-a", f"{name}/{'long/' * 60}x"):
        volume.image(bad, "tag")
    for bad in (".hidden", "-dash", "with space", "t" * 129, "colon:colon"):
        volume.tag(name, bad, content.digest)
    found = Outcome().image(name, content, "tag", "t" * 128).no(f"{name}/manifests/.hidden")
    return found.tell(f"{name}/Upper", "name").tell(f"{name}/_manifests/tags/with space", "tag")


def names_that_are_no_text(volume: Volume, name: str) -> Outcome:
    """Bytes that are not UTF-8: in the name of a repository, a tag, a blob's directory."""
    content = volume.image(name, "tag")
    base = os.fsencode(volume.base)
    for place in (
        b"repositories/%b/caf\xe9/_manifests",
        b"repositories/%b/_manifests/tags/\xff",
        b"repositories/%b/_layers/sha256/\xfe",
    ):
        os.makedirs(base + b"/" + place % name.encode())
    os.makedirs(base + b"/blobs/sha256/\xe9")
    return Outcome().image(name, content, "tag").tell(f"{name}/_manifests/tags/", "tag")


def huge_link(volume: Volume, name: str) -> Outcome:
    """A gigabyte where a digest should be: nobody may read all of it."""
    content = volume.image(name, "tag")
    link = volume.tag(name, "huge", STRANGER)
    with link.open("r+b") as file:
        file.truncate(1024**3)
    return Outcome().image(name, content, "tag").no(f"{name}/manifests/huge").tell(f"{name}/_manifests/tags/huge", "")


def huge_manifest(volume: Volume, name: str) -> Outcome:
    """More bytes than a manifest can have."""
    content, huge = volume.image(name, "tag"), digest(b"huge")
    volume.revision(name, huge)
    with volume.data(huge).open("wb") as file:
        file.truncate(1024**3)
    found = Outcome().image(name, content, "tag").no(f"{name}/manifests/{huge}")
    return found.tell(huge.partition(":")[2], "more than 4 MiB")


def directories_for_links(volume: Volume, name: str) -> Outcome:
    """A directory where a link should be, and where bytes should be."""
    content = volume.image(name, "tag")
    for link in (volume.tag(name, "folder", STRANGER), volume.layer(name, digest(b"folder"))):
        link.unlink()
        link.mkdir()
    volume.data(digest(b"folder")).mkdir()
    return Outcome().image(name, content, "tag").no(f"{name}/manifests/folder", f"{name}/blobs/{digest(b'folder')}")


def symbolic_links(volume: Volume, name: str) -> Outcome:
    """A repository and a blob that lie elsewhere are served, as docker-registry does; a circle has an end, and no other file is read."""
    content, moved = volume.image(name, "tag"), volume.image(f"{name}/moved", "tag")
    elsewhere = volume.base / "elsewhere"
    place = volume.base / "repositories" / name
    (place / "moved").rename(elsewhere)
    (place / "moved").symlink_to(elsewhere)
    (place / "circle").symlink_to(place)
    (place / "nothing").symlink_to("/nowhere/at/all")
    data = volume.data(moved.digest)
    data.rename(elsewhere / "data")
    data.symlink_to(elsewhere / "data")
    link = volume.tag(name, "outside", STRANGER)
    link.unlink()
    link.symlink_to("/etc/hostname")
    fifo = volume.tag(name, "pipe", STRANGER)
    fifo.unlink()
    os.mkfifo(fifo)
    found = Outcome().image(name, content, "tag").image(f"{name}/moved", moved, "tag")
    return found.no(f"{name}/manifests/outside", f"{name}/manifests/pipe", f"{name}/circle/manifests/tag")


def damaged_bytes(volume: Volume, name: str) -> Outcome:
    """A manifest with other bytes than its digest says, an empty one, a layer that is empty."""
    content = volume.image(name, "tag")
    changed, emptied = volume.image(name, "changed"), volume.image(name, "emptied")
    volume.data(changed.digest).write_bytes(changed.body.replace(b"amd64", b"arm64") + b" ")
    volume.data(emptied.digest).write_bytes(b"")
    layer = blob("emptied layer")
    volume.layer(name, layer.digest)
    volume.data(layer.digest).write_bytes(b"")
    found = Outcome().image(name, content, "tag").no(f"{name}/manifests/changed", f"{name}/manifests/emptied")
    found.no(f"{name}/manifests/{changed.digest}", f"{name}/manifests/{emptied.digest}", f"{name}/blobs/{layer.digest}")
    return found.tell(changed.digest, "do not have its digest").tell(layer.digest.partition(":")[2], "empty")


def empty_repository(volume: Volume, name: str) -> Outcome:
    """All that is left of a repository whose manifests were deleted."""
    for part in ("_layers/sha256", "_manifests/revisions/sha256", "_manifests/tags", "_uploads"):
        volume.path("repositories", name, part, "x").parent.mkdir(exist_ok=True)
    return Outcome().no(f"{name}/tags/list")


def names_within_names(volume: Volume, name: str) -> Outcome:
    """Names that begin like one another, and one as long as names may be."""
    found = Outcome()
    longest = f"{name}/{'a/' * 100}"
    longest += "b" * (255 - len(longest))
    for one in (name, f"{name}/a", f"{name}-a", f"{name}.a", f"{name}__a", f"{name}a", f"{name}/a/a", longest):
        found.image(one, volume.image(one, "a", "a-a", "a.a", "A"), "a", "a-a", "a.a", "A")
    return found


def not_json(volume: Volume, name: str) -> Outcome:
    """Bytes with the right digest that are no manifest: hostile, deep, or of something else."""
    content = volume.image(name, "tag")
    found = Outcome().image(name, content, "tag")
    for number, octets in enumerate(
        (b"\x00\xff", b"[" * 100_000, json.dumps({"schemaVersion": 2, "config": 7}).encode())
    ):
        one = volume.manifest(name, Content(octets), f"bad{number}")
        found.no(f"{name}/manifests/bad{number}").tell(one.digest, "not a manifest")
    return found


TRAPS: tuple[Trap, ...] = (
    *(empty_current_link, only_index_of_a_tag, empty_revision_link, empty_layer_link, temporary_files, dangling_tags),
    *(bad_digests_in_links, link_to_something_else, sha512_alias, blob_without_link, links_without_blob),
    *(empty_directories_of_deleted_things, image_that_lacks_its_layer, uploads, schema_1, media_type_of_its_own),
    *(referrers_under_a_tag, strange_files, bad_names, names_that_are_no_text, huge_link, huge_manifest),
    *(directories_for_links, symbolic_links, damaged_bytes, empty_repository, names_within_names, not_json),
)
