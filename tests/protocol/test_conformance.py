"""The life of each kind of content: push it, list it, look at it, pull it, find its referrers, delete it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from harness.content import (
    EMPTY,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    Content,
    blob,
    config,
    digest,
    image,
    index,
)
from harness.repository import Repository
from protocol.test_uploads import FORMS

NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"


@dataclass
class Branch:
    """What one branch pushes.

    `manifests` in the order of pushing: children before what lists them. `tags` name some of them by place.
    `missing`: subjects that are never pushed.
    """

    blobs: list[Content]
    manifests: list[Content]
    tags: dict[str, int] = field(default_factory=lambda: {"latest": -1})
    algorithm: str = "sha256"
    tag_parameters: bool = False
    missing: list[Content] = field(default_factory=list)

    def digest(self, content: Content) -> str:
        return digest(content.body, self.algorithm)

    def subjects(self) -> set[str]:
        """The digests that some manifest names as its subject."""
        return {content.json()["subject"]["digest"] for content in self.manifests if content.json().get("subject")}

    def referrers(self, subject: str) -> list[Content]:
        """The manifests with this subject."""
        return [content for content in self.manifests if (content.json().get("subject") or {}).get("digest") == subject]


def one_image(seed: str, **fields: object) -> tuple[list[Content], Content]:
    """Two layers, a config, and their manifest."""
    layers = [blob(f"{seed} {number}", 2000) for number in range(2)]
    configuration = config(seed)
    return [configuration, *layers], image(configuration, layers, **fields)  # type: ignore[arg-type]


def images(seed: str, count: int) -> tuple[list[Content], list[Content]]:
    """The blobs and manifests of several images."""
    made = [one_image(f"{seed} {number}") for number in range(count)]
    return [content for blobs, _ in made for content in blobs], [content for _, content in made]


def plain_image(seed: str) -> Branch:
    blobs, content = one_image(seed)
    return Branch(blobs, [content])


def image_uncompressed(seed: str) -> Branch:
    configuration, layer = config(seed), blob(seed, 3000, OCI_LAYER)
    return Branch([configuration, layer], [image(configuration, [layer])])


def large_manifest(seed: str) -> Branch:
    annotations = {f"org.example.large.{number}": "x" * 10_000 for number in range(390)}
    blobs, content = one_image(seed, annotations=annotations)
    return Branch(blobs, [content])


def plain_index(seed: str) -> Branch:
    blobs, children = images(seed, 2)
    return Branch(blobs, [*children, index(children)])


def nested_index(seed: str) -> Branch:
    blobs, children = images(seed, 2)
    inner = index(children)
    return Branch(blobs, [*children, inner, index([inner])])


def empty_index(seed: str) -> Branch:
    return Branch([], [index(annotations={"org.example.seed": seed})])


def artifact(seed: str) -> Branch:
    layer = blob(seed)
    return Branch([EMPTY, layer], [image(EMPTY, [layer], artifactType="application/vnd.example+type")])


def artifact_index(seed: str) -> Branch:
    layers = [blob(f"{seed} {number}") for number in range(2)]
    children = [image(EMPTY, [layer], artifactType="application/vnd.example+type") for layer in layers]
    return Branch([EMPTY, *layers], [*children, index(children, artifactType="application/vnd.example+list")])


def artifact_without_layers(seed: str) -> Branch:
    content = image(EMPTY, [EMPTY], artifactType="application/vnd.example+type", annotations={"org.example.seed": seed})
    return Branch([EMPTY], [content])


def artifacts_with_subject(seed: str) -> Branch:
    blobs, content = one_image(seed)
    layer = blob(seed + " note")
    notes = [
        image(
            EMPTY, [layer], subject=content, artifactType=f"application/vnd.example.{kind}", annotations={"kind": kind}
        )
        for kind in ("signature", "bill")
    ]
    return Branch([*blobs, EMPTY, layer], [content, *notes], {"latest": 0})


def index_with_subject(seed: str) -> Branch:
    blobs, children = images(seed, 2)
    whole = index(children)
    note = index(subject=whole, artifactType="application/vnd.example.note", annotations={"a": "b"})
    return Branch(blobs, [*children, whole, note], {"latest": 2, "note": 3})


def missing_subject(seed: str) -> Branch:
    subject = one_image(seed)[1]
    note = image(EMPTY, [EMPTY], subject=subject, artifactType="application/vnd.example.note")
    return Branch([EMPTY], [note], missing=[subject])


def data_field(seed: str) -> Branch:
    descriptor = EMPTY.descriptor(data="e30=")
    content = image(descriptor, [descriptor], artifactType="a/b", annotations={"org.example.seed": seed})
    return Branch([EMPTY], [content])


def non_distributable_layers(seed: str) -> Branch:
    configuration, layer = config(seed), blob(seed)
    elsewhere = blob(seed + " elsewhere", media_type=NONDISTRIBUTABLE)
    foreign = elsewhere.descriptor(urls=["https://store.example.com/" + elsewhere.digest])
    return Branch([configuration, layer], [image(configuration, [foreign, layer])])


def custom_fields(seed: str) -> Branch:
    configuration = config(seed, custom={"a": [1, 2]})
    layer = blob(seed)
    content = image(configuration, [layer.descriptor(**{"org.example.custom": True})], **{"org.example.custom": "x"})  # type: ignore[arg-type]
    return Branch([configuration, layer], [content, index([content], **{"org.example.custom": None, "x": [1]})])  # type: ignore[arg-type]


def no_layers(seed: str) -> Branch:
    configuration = config(seed)
    return Branch([configuration], [image(configuration)])


def sparse(seed: str) -> Branch:
    blobs, children = images(seed, 3)
    return Branch(blobs[:3], [children[0], index(children)])


def sha512(seed: str) -> Branch:
    configuration, layer = config(seed), blob(seed)
    content = image(configuration.descriptor("sha512"), [layer.descriptor("sha512")])
    listing = index([content.descriptor("sha512")], subject=content.descriptor("sha512"))
    return Branch([configuration, layer], [content, listing], algorithm="sha512", tag_parameters=True)


def tag_parameters_sha256(seed: str) -> Branch:
    blobs, content = one_image(seed)
    return Branch(blobs, [content], {f"tag-{number:02}": 0 for number in range(12)}, tag_parameters=True)


def tag_parameters_sha512(seed: str) -> Branch:
    branch = tag_parameters_sha256(seed)
    branch.algorithm = "sha512"
    layer, configuration = branch.blobs[1], branch.blobs[0]
    branch.manifests = [image(configuration.descriptor("sha512"), [layer.descriptor("sha512")])]
    return branch


BRANCHES: list[Callable[[str], Branch]] = [
    plain_image,
    image_uncompressed,
    large_manifest,
    plain_index,
    nested_index,
    empty_index,
    artifact,
    artifact_index,
    artifact_without_layers,
    artifacts_with_subject,
    index_with_subject,
    missing_subject,
    data_field,
    non_distributable_layers,
    custom_fields,
    no_layers,
    sparse,
    sha512,
    tag_parameters_sha256,
    tag_parameters_sha512,
]


@pytest.mark.parametrize("make", BRANCHES, ids=lambda make: make.__name__)
def test_life(repository: Repository, make: Callable[[str], Branch]) -> None:
    """Each step as a client takes it, in order."""
    branch = make(repository.name)
    push(repository, branch)
    assert repository.tags() == sorted(branch.tags)
    look(repository, branch)
    pull(repository, branch)
    find_referrers(repository, branch)
    delete(repository, branch)


def push(repository: Repository, branch: Branch) -> None:
    """Blobs, each in another form; every manifest by digest; then the tags."""
    for number, content in enumerate(branch.blobs):
        FORMS[number % len(FORMS)](repository, content, branch.digest(content)).expect(201)
    for place, content in enumerate(branch.manifests):
        tags = [tag for tag, where in branch.tags.items() if branch.manifests[where] is content]
        query = "?" + "&".join(f"tag={tag}" for tag in tags) if branch.tag_parameters else ""
        pushed = repository.put_manifest(content, branch.digest(content), query).expect(201)
        subject = content.json().get("subject")
        assert pushed.headers.get("OCI-Subject") == (subject and subject["digest"]), (place, str(pushed))
        pulled = repository.client.get(pushed.headers["Location"]).expect(200)
        assert (pulled.body, pulled.headers["Content-Type"]) == (content.body, content.media_type)
        if not branch.tag_parameters:
            for tag in tags:
                repository.put_manifest(content, tag).expect(201)


def references(branch: Branch) -> list[tuple[str, Content, str]]:
    """What can be asked for, what is answered, and the digest that goes with it."""
    by_digest = [(branch.digest(content), content, branch.digest(content)) for content in branch.manifests]
    tagged = [(tag, branch.manifests[where]) for tag, where in branch.tags.items()]
    by_tag = [(tag, one, branch.digest(one) if branch.tag_parameters else one.digest) for tag, one in tagged]
    return by_digest + by_tag


def look(repository: Repository, branch: Branch) -> None:
    """HEAD by digest, by tag, and of each blob."""
    for reference, content, wanted in references(branch):
        headers = repository.head(f"manifests/{reference}").expect(200).headers
        assert headers["Content-Type"] == content.media_type
        assert headers["Content-Length"] == str(content.size)
        assert headers["Docker-Content-Digest"] == wanted
    for content in branch.blobs:
        headers = repository.head(f"blobs/{branch.digest(content)}").expect(200).headers
        assert headers["Content-Length"] == str(content.size)
        assert headers["Docker-Content-Digest"] == branch.digest(content)


def pull(repository: Repository, branch: Branch) -> None:
    for reference, content, _ in references(branch):
        assert repository.get(f"manifests/{reference}").expect(200).body == content.body
    for content in branch.blobs:
        assert repository.get(f"blobs/{branch.digest(content)}").expect(200).body == content.body


def find_referrers(repository: Repository, branch: Branch) -> None:
    """Each subject lists those that name it, all or those of a type."""
    for subject in branch.subjects():
        wanted = branch.referrers(subject)
        listed = repository.referrers(subject)
        assert {entry["digest"] for entry in listed} == {branch.digest(content) for content in wanted}
        for content in wanted:
            fields = content.json()
            entry = next(entry for entry in listed if entry["digest"] == branch.digest(content))
            assert entry.get("annotations", {}) == fields.get("annotations", {})
            assert entry.get("artifactType") == fields.get("artifactType")
            if "artifactType" in fields:
                query = "?artifactType=" + fields["artifactType"].replace("+", "%2B")
                assert entry in repository.referrers(subject, query)
    assert {branch.digest(content) for content in branch.missing} <= branch.subjects()


def delete(repository: Repository, branch: Branch) -> None:
    """Tags, then manifests, parents first, then blobs; each is gone at once."""
    for tag in branch.tags:
        repository.delete(f"manifests/{tag}").expect(202)
        repository.head(f"manifests/{tag}").expect(404)
    for content in dict.fromkeys(reversed(branch.manifests)):
        repository.delete(f"manifests/{branch.digest(content)}").expect(202)
        repository.head(f"manifests/{branch.digest(content)}").expect(404)
    for subject in branch.subjects():
        assert repository.referrers(subject) == []
    for content in dict.fromkeys(branch.blobs):
        repository.delete(f"blobs/{branch.digest(content)}").expect(202)
        repository.head(f"blobs/{branch.digest(content)}").expect(404)


def test_before_anything_is_pushed(repository: Repository) -> None:
    """`empty`, `missing-manifest` and `get-missing`."""
    repository.get("tags/list").expect(404)
    answer = repository.get(f"referrers/{digest(b'missing')}").expect(200)
    assert answer.headers["Content-Type"] == OCI_INDEX
    assert answer.json() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    for algorithm in ("sha256", "sha512"):
        repository.get(f"blobs/{digest(b'missing', algorithm)}").expect(404)
        repository.get(f"manifests/{digest(b'missing', algorithm)}").expect(404)
    repository.head("manifests/missing").expect(404)


def test_bad_digest_image(repository: Repository) -> None:
    """`bad-digest-image`, `invalid-digest-format`: a manifest under a digest that it does not have, or that is none."""
    blobs, content = one_image(repository.name)
    for one in blobs:
        repository.push_blob(one)
    for bad in (digest(b"other"), digest(b"other", "sha512"), "sha256:baddigeststring"):
        repository.put_manifest(content, bad).expect(400)
        repository.get(f"manifests/{bad}").expect(400, 404)
        repository.delete(f"manifests/{bad}").expect(400, 404)


def test_empty_json(repository: Repository) -> None:
    """The empty descriptor's content in every form, and again after each deletion."""
    for form in FORMS:
        for algorithm in ("sha256", "sha512"):
            form(repository, EMPTY, digest(EMPTY.body, algorithm)).expect(201)
            repository.delete(f"blobs/{digest(EMPTY.body, algorithm)}").expect(202)
    assert EMPTY.media_type == OCI_EMPTY
