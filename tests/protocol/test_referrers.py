"""Listing referrers (distribution-spec 1.1 "Listing Referrers")."""

from typing import Any

import pytest

from harness.content import (
    DOCKER_IMAGE,
    EMPTY,
    OCI_EMPTY,
    OCI_IMAGE,
    OCI_INDEX,
    Content,
    artifact,
    digest,
    image,
    index,
)
from harness.repository import Repository
from protocol.paging import walk

NOTHING = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
ZEROS = "sha256:" + "0" * 64


def by_digest(descriptors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(descriptors, key=lambda descriptor: str(descriptor["digest"]))


@pytest.mark.parametrize("subject", [ZEROS, digest(b"nowhere", "sha512")])
@pytest.mark.parametrize("query", ["", "?artifactType=a/b", "?n=10"])
@pytest.mark.parametrize("known", [False, True])
def test_nothing(repository: Repository, subject: str, query: str, known: bool) -> None:
    """R1: always 200 and an index, also for repositories that do not exist; oras probes with zeros."""
    if known:
        repository.push_image("latest")
    for method in ("GET", "HEAD"):
        answer = repository.client.request(method, repository.url(f"referrers/{subject}{query}")).expect(200)
        assert answer.headers["Content-Type"] == OCI_INDEX
        assert method == "HEAD" or answer.json() == NOTHING
    if not known:
        repository.get("tags/list").expect(404)


def test_entries(repository: Repository) -> None:
    """R2: type, digest, size; artifact type, else an image's config's type; its annotations and no others."""
    subject = repository.push_image("latest")
    notes = {"org.example.a": "1", "org.example.b": "\u00e9\n\"'"}
    repository.push_blob(EMPTY)
    typed_config = repository.push_blob(repository.blob(media_type="application/vnd.example.config"))
    wanted: list[tuple[Content, dict[str, Any]]] = [
        (image(EMPTY, [EMPTY], subject=subject, artifactType="a/typed"), {"artifactType": "a/typed"}),
        (image(typed_config, subject=subject), {"artifactType": typed_config.media_type}),
        (image(EMPTY, subject=subject, annotations=notes), {"artifactType": OCI_EMPTY, "annotations": notes}),
        (image(typed_config, subject=subject, media_type=DOCKER_IMAGE), {"artifactType": typed_config.media_type}),
        (
            index(subject=subject, artifactType="a/index", annotations=notes),
            {"artifactType": "a/index", "annotations": notes},
        ),
        (index(subject=subject), {}),
        (artifact([EMPTY], subject=subject, artifactType="a/artifact"), {"artifactType": "a/artifact"}),
    ]
    for content, _ in wanted:
        repository.push_manifest(content)
    answer = repository.get(f"referrers/{subject.digest}").expect(200)
    assert answer.headers["Content-Type"] == OCI_INDEX
    assert {**answer.json(), "manifests": []} == NOTHING
    expected = [content.descriptor(**fields) for content, fields in wanted]
    assert by_digest(answer.json()["manifests"]) == by_digest(expected)
    assert "OCI-Filters-Applied" not in answer.headers
    assert "Link" not in answer.headers


@pytest.fixture
def typed(repository: Repository) -> dict[str, str]:
    """Referrers of `ZEROS` in `repository`: artifact type -> digest, "" is one without."""
    repository.push_blob(EMPTY)
    subject = {"mediaType": OCI_IMAGE, "digest": ZEROS, "size": 1}
    found = {"": repository.push_manifest(index(subject=subject)).digest}
    for artifact_type in ("a/one", "a/two", "application/vnd.example+json"):
        content = repository.push_manifest(image(EMPTY, subject=subject, artifactType=artifact_type))
        found[artifact_type] = content.digest
    return found


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("artifactType=a/one", ["a/one"]),
        ("artifactType=a%2Fone", ["a/one"]),
        ("artifactType=a/one&artifactType=a/two", ["a/one", "a/two"]),
        ("artifactType=a/one&artifactType=a/one", ["a/one"]),
        ("artifactType=a/one&artifactType=x/y", ["a/one"]),
        ("artifactType=x/y", []),
        ("artifactType=a/o", []),
        ("artifactType=A/ONE", []),
        ("artifactType=a/one,a/two", []),
        ("artifactType=application/vnd.example%2Bjson", ["application/vnd.example+json"]),
        ("ns=x&artifactType=a/two&unknown", ["a/two"]),
    ],
)
def test_filter(repository: Repository, typed: dict[str, str], query: str, types: list[str]) -> None:
    """R3: equal to any of the values; and the answer says that it was filtered."""
    answer = repository.get(f"referrers/{ZEROS}?{query}").expect(200)
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert answer.headers["Content-Type"] == OCI_INDEX
    assert sorted(entry["digest"] for entry in answer.json()["manifests"]) == sorted(typed[one] for one in types)


@pytest.mark.parametrize("query", ["artifactType=", "artifactType"])
def test_empty_filter(repository: Repository, typed: dict[str, str], query: str) -> None:
    """R3: its presence counts; what has a type does not match."""
    answer = repository.get(f"referrers/{ZEROS}?{query}").expect(200)
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    listed = {entry["digest"] for entry in answer.json()["manifests"]}
    assert listed <= {typed[""]}


def test_no_filter(repository: Repository, typed: dict[str, str]) -> None:
    answer = repository.get(f"referrers/{ZEROS}").expect(200)
    assert "OCI-Filters-Applied" not in answer.headers
    assert {entry["digest"] for entry in answer.json()["manifests"]} == set(typed.values())


@pytest.mark.parametrize("first", ["subject", "referrer"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_order_of_pushes(repository: Repository, first: str, algorithm: str) -> None:
    """M9: a referrer may come before its subject."""
    subject = repository.image()
    referrer = repository.image(subject=subject.descriptor(algorithm))
    pushes = [(subject, digest(subject.body, algorithm)), (referrer, referrer.digest)]
    for content, reference in pushes if first == "subject" else reversed(pushes):
        repository.push_manifest(content, reference)
    listed = repository.referrers(digest(subject.body, algorithm))
    assert [entry["digest"] for entry in listed] == [referrer.digest]


def test_referrer_of_a_referrer(repository: Repository) -> None:
    image_ = repository.push_image("latest")
    signature = repository.push_manifest(repository.image(subject=image_))
    note = repository.push_manifest(repository.image(subject=signature))
    assert [entry["digest"] for entry in repository.referrers(image_.digest)] == [signature.digest]
    assert [entry["digest"] for entry in repository.referrers(signature.digest)] == [note.digest]
    assert repository.referrers(note.digest) == []


def test_an_index_that_lists_a_manifest_is_no_referrer(repository: Repository) -> None:
    child = repository.push_image()
    repository.push_manifest(index([child]), "latest")
    assert repository.referrers(child.digest) == []


def test_pushed_twice_listed_once(repository: Repository) -> None:
    subject = repository.push_image()
    referrer = repository.image(subject=subject)
    for reference in ("one", "two", referrer.digest, "one"):
        repository.push_manifest(referrer, reference)
    assert [entry["digest"] for entry in repository.referrers(subject.digest)] == [referrer.digest]


def test_gone_with_the_referrer(repository: Repository) -> None:
    """R5."""
    subject = repository.push_image()
    one, two = (repository.push_manifest(repository.image(subject=subject)) for _ in range(2))
    repository.delete(f"manifests/{one.digest}").expect(202)
    assert [entry["digest"] for entry in repository.referrers(subject.digest)] == [two.digest]
    repository.push_manifest(one)
    assert {entry["digest"] for entry in repository.referrers(subject.digest)} == {one.digest, two.digest}


def test_kept_without_the_subject(repository: Repository) -> None:
    """R5: the link is weak."""
    subject = repository.push_image()
    referrer = repository.push_manifest(repository.image(subject=subject))
    repository.delete(f"manifests/{subject.digest}").expect(202)
    assert [entry["digest"] for entry in repository.referrers(subject.digest)] == [referrer.digest]


def test_untagging_does_not_remove_a_referrer(repository: Repository) -> None:
    subject = repository.push_image()
    referrer = repository.push_manifest(repository.image(subject=subject), "signature")
    repository.delete("manifests/signature").expect(202)
    assert [entry["digest"] for entry in repository.referrers(subject.digest)] == [referrer.digest]


def test_repositories_are_apart(repository: Repository, other: Repository) -> None:
    subject = repository.push_image()
    repository.push_manifest(repository.image(subject=subject))
    other.push_image("latest")
    assert other.referrers(subject.digest) == []


def test_all_on_one_page(repository: Repository) -> None:
    """R4: containerd and crane read one page alone."""
    subject = repository.image()
    repository.push_blob(EMPTY)
    pushed = [repository.push_manifest(image(EMPTY, subject=subject, annotations={"n": str(n)})) for n in range(120)]
    listed = repository.referrers(subject.digest)
    assert sorted(entry["digest"] for entry in listed) == sorted(content.digest for content in pushed)


@pytest.mark.parametrize("query", ["", "artifactType=a/b"])
@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_pages(repository: Repository, n: int, query: str) -> None:
    """R4: a client that sets n gets pages, each an index, with the filter kept from one to the next."""
    subject = repository.image()
    pushed = [
        repository.push_manifest(index(subject=subject, artifactType="a/b", annotations={"n": str(k)}))
        for k in range(5)
    ]
    repository.push_manifest(index(subject=subject, artifactType="other/type", annotations={}))
    target = repository.url(f"referrers/{subject.digest}?n={n}&{query}")
    pages = walk(repository.client, target, "manifests")
    assert all(len(page) == n for page in pages[:-1])
    found = [entry["digest"] for page in pages for entry in page]
    assert len(found) == len(set(found)) == (5 if query else 6)
    assert {content.digest for content in pushed} <= set(found)


def test_more_than_clients_read(repository: Repository) -> None:
    """R4: no page above 4 MiB, which clients refuse to read; the rest follows by Link, and nothing is lost."""
    subject = repository.image()
    notes = [index(subject=subject, annotations={"n": str(number), "pad": "x" * 1_500_000}) for number in range(4)]
    for content in notes:
        repository.push_manifest(content)
    first = repository.get(f"referrers/{subject.digest}").expect(200)
    assert len(first.body) <= 4 * 2**20
    assert "Link" in first.headers
    found = walk(repository.client, repository.url(f"referrers/{subject.digest}"), "manifests")
    assert sorted(entry["digest"] for page in found for entry in page) == sorted(one.digest for one in notes)


@pytest.mark.parametrize("extra", [0, 1])
def test_fallback_tag(repository: Repository, extra: int) -> None:
    """R6: an index under the fallback tag is ordinary; what it lists is found by its subject, once."""
    subject = repository.push_image("latest")
    referrers = [repository.push_manifest(repository.image(subject=subject)) for _ in range(2)]
    unrelated = [repository.push_image() for _ in range(extra)]
    fallback = repository.push_manifest(index([*referrers, *unrelated]), subject.digest.replace(":", "-"))
    listed = sorted(entry["digest"] for entry in repository.referrers(subject.digest))
    assert listed == sorted(content.digest for content in referrers)
    assert repository.get(f"manifests/{subject.digest.replace(':', '-')}").expect(200).body == fallback.body
    assert subject.digest.replace(":", "-") in repository.tags()
    repository.delete(f"manifests/{referrers[0].digest}").expect(202)
    assert [entry["digest"] for entry in repository.referrers(subject.digest)] == [referrers[1].digest]
