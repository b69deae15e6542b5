"""Random sequences of pushes, mounts, deletions and reads, against the server and a model that is a few dictionaries."""

import itertools
from dataclasses import dataclass, field
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from harness.content import Content, blob, digest, image, index
from harness.http import Client
from harness.repository import Repository, with_query
from harness.rules import every_answer
from harness.server import Server
from protocol.test_uploads import FORMS, Form

SIZES = (1, 2, 700, 5000, 70_000)
TAGS = ["latest", "a", "a-b", "B"]
PLACES = ["one", "one/two", "three"]
MANIFESTS = 6

_runs = itertools.count(1)

places = st.sampled_from(PLACES)
blobs = st.integers(0, len(SIZES) - 1)
manifests = st.integers(0, MANIFESTS - 1)
tags = st.sampled_from(TAGS)
forms = st.sampled_from(FORMS)
algorithms = st.sampled_from(["sha256", "sha512"])


@dataclass
class Known:
    """What the model knows of one repository: blobs by digest, manifests by digest, tags by name."""

    blobs: dict[str, Content] = field(default_factory=dict)
    manifests: dict[str, Content] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        return bool(self.blobs or self.manifests)

    def needs(self, wanted: str) -> bool:
        """Whether a manifest here refers to the blob."""
        return any(wanted in needed(content) for content in self.manifests.values())

    def referrers(self, subject: str) -> set[str]:
        """The digests of the manifests with this subject."""
        with_subject = ((one, content.json().get("subject")) for one, content in self.manifests.items())
        return {one for one, field in with_subject if field and field["digest"] == subject}


@dataclass
class Upload:
    """An upload that the model has not closed yet."""

    place: str
    location: str
    received: bytes = b""


def needed(content: Content) -> set[str]:
    """The blobs without which a manifest is refused."""
    fields = content.json()
    return {one["digest"] for one in (fields["config"], *fields["layers"])} if "config" in fields else set()


def some_manifests(blobs: list[Content], run: int) -> list[Content]:
    """Images that share blobs, an index of them, referrers of one of them."""
    first = image(blobs[0], [blobs[2], blobs[3]], annotations={"run": str(run)})
    second = image(blobs[1], [blobs[3]], annotations={"run": str(run)})
    listing = index([first, second], annotations={"run": str(run)})
    signature = image(blobs[1], subject=first, artifactType="a/signature", annotations={"run": str(run)})
    note = index(subject=listing, artifactType="a/note", annotations={"run": str(run)})
    return [first, second, listing, signature, note, image(blobs[4], subject=first)]


class Registry(RuleBasedStateMachine):
    """Each rule is one thing that a client does, on the server and on the model; their answers must agree."""

    server: ClassVar[Server]

    @initialize()
    def begin(self) -> None:
        run = next(_runs)
        self.client = Client(self.server, check=every_answer)
        self.repositories = {place: Repository(self.client, f"model{run}/{place}") for place in PLACES}
        self.known = {place: Known() for place in PLACES}
        self.blobs = [blob(f"model {run} {number}", size) for number, size in enumerate(SIZES)]
        self.blobs[:2] = [blob(f"model {run} small {number}", 40) for number in range(2)]
        self.manifests = some_manifests(self.blobs, run)
        self.sha512: set[str] = set()
        self.uploads: list[Upload] = []

    @rule(place=places, number=blobs, form=forms, algorithm=algorithms)
    def push_blob(self, place: str, number: int, form: Form, algorithm: str) -> None:
        content = self.blobs[number]
        wanted = digest(content.body, algorithm)
        form(self.repositories[place], content, wanted).expect(201)
        self.known[place].blobs[content.digest] = content
        if algorithm == "sha512":
            self.sha512.add(content.digest)

    @rule(place=places, number=blobs, form=forms, algorithm=algorithms)
    def push_blob_under_a_wrong_digest(self, place: str, number: int, form: Form, algorithm: str) -> None:
        wrong = digest(b"wrong" + self.blobs[number].body, algorithm)
        form(self.repositories[place], self.blobs[number], wrong).expect(400)
        self.repositories[place].head(f"blobs/{wrong}").expect(404)

    @rule(place=places, number=blobs, source=places)
    def mount(self, place: str, number: int, source: str) -> None:
        content = self.blobs[number]
        self._mounted(
            place, content, f"&from={self.repositories[source].name}", content.digest in self.known[source].blobs
        )

    @rule(place=places, number=blobs)
    def mount_from_anywhere(self, place: str, number: int) -> None:
        content = self.blobs[number]
        self._mounted(place, content, "", any(content.digest in known.blobs for known in self.known.values()))

    def _mounted(self, place: str, content: Content, source: str, possible: bool) -> None:
        answer = self.client.post(self.repositories[place].url(f"blobs/uploads/?mount={content.digest}{source}"))
        if possible:
            answer.expect(201)
            self.known[place].blobs[content.digest] = content
        else:
            self.uploads.append(Upload(place, answer.expect(202).headers["Location"]))

    @rule(place=places)
    def open_upload(self, place: str) -> None:
        self.uploads.append(Upload(place, self.repositories[place].open_upload()))

    @precondition(lambda self: self.uploads)
    @rule(pick=st.integers(0, 100), size=st.integers(0, 3000), gap=st.sampled_from([None, 0, 0, 1]))
    def append(self, pick: int, size: int, gap: int | None) -> None:
        """A chunk: without Content-Range, with the right one, or with one that leaves a gap."""
        upload = self.uploads[pick % len(self.uploads)]
        body = blob(f"{upload.location} {len(upload.received)}", size).body
        start = len(upload.received) + (gap or 0)
        ranged = gap is not None and size > 0
        headers = {"Content-Range": f"{start}-{start + size - 1}"} if ranged else {}
        answer = self.client.patch(upload.location, headers, body).expect(416 if ranged and gap else 202)
        if answer.status == 202:
            upload.received += body
        assert answer.headers["Range"] == f"0-{max(len(upload.received) - 1, 0)}"

    @precondition(lambda self: self.uploads)
    @rule(pick=st.integers(0, 100), right=st.booleans(), algorithm=algorithms)
    def close_upload(self, pick: int, right: bool, algorithm: str) -> None:
        upload = self.uploads.pop(pick % len(self.uploads))
        content = Content(upload.received)
        wanted = digest(content.body + (b"" if right else b"x"), algorithm)
        target = with_query(upload.location, f"digest={wanted}")
        self.client.put(target).expect(201 if right else 400)
        self.client.get(upload.location).expect(404)
        if right:
            self.client.put(target).expect(201)
            self.known[upload.place].blobs[content.digest] = content

    @precondition(lambda self: self.uploads)
    @rule(pick=st.integers(0, 100))
    def cancel_upload(self, pick: int) -> None:
        upload = self.uploads.pop(pick % len(self.uploads))
        self.client.delete(upload.location).expect(204)
        self.client.delete(upload.location).expect(404)

    @rule(place=places, number=manifests, tag=tags)
    def push_manifest_by_tag(self, place: str, number: int, tag: str) -> None:
        self._push_manifest(place, self.manifests[number], tag, [tag])

    @rule(place=places, number=manifests, wanted=st.lists(tags, unique=True))
    def push_manifest_by_digest(self, place: str, number: int, wanted: list[str]) -> None:
        content = self.manifests[number]
        query = "?" + "&".join(f"tag={tag}" for tag in wanted) if wanted else ""
        self._push_manifest(place, content, content.digest + query, wanted)

    def _push_manifest(self, place: str, content: Content, reference: str, wanted: list[str]) -> None:
        known = self.known[place]
        answer = self.repositories[place].put_manifest(content, reference)
        lacking = needed(content) - known.blobs.keys()
        if lacking:
            answer.expect(400, code="MANIFEST_BLOB_UNKNOWN")
            assert {error["detail"]["digest"] for error in answer.json()["errors"]} == lacking
            return
        answer.expect(201)
        known.manifests[content.digest] = content
        known.tags |= dict.fromkeys(wanted, content.digest)

    @rule(place=places, tag=tags)
    def delete_tag(self, place: str, tag: str) -> None:
        there = self.known[place].tags.pop(tag, None)
        self.repositories[place].delete(f"manifests/{tag}").expect(202 if there else 404)

    @rule(place=places, number=manifests)
    def delete_manifest(self, place: str, number: int) -> None:
        known, wanted = self.known[place], self.manifests[number].digest
        there = known.manifests.pop(wanted, None)
        known.tags = {tag: where for tag, where in known.tags.items() if where != wanted}
        self.repositories[place].delete(f"manifests/{wanted}").expect(202 if there else 404)

    @rule(place=places, number=blobs)
    def delete_blob(self, place: str, number: int) -> None:
        known, wanted = self.known[place], self.blobs[number].digest
        answer = self.repositories[place].delete(f"blobs/{wanted}")
        if wanted not in known.blobs:
            answer.expect(404)
        elif known.needs(wanted):
            answer.expect(405)
        else:
            answer.expect(202)
            del known.blobs[wanted]

    @rule(place=places)
    def delete_repository(self, place: str) -> None:
        there, self.known[place] = self.known[place].exists, Known()
        answer = self.repositories[place].delete("_holdfast/repository").expect(202, 404)
        if there:
            answer.expect(202)
        if answer.status == 202:
            self.uploads = [upload for upload in self.uploads if upload.place != place]

    @rule(place=places, number=blobs, first=st.integers(0, 5000), last=st.integers(0, 5000))
    def read_blob(self, place: str, number: int, first: int, last: int) -> None:
        content, repository = self.blobs[number], self.repositories[place]
        names = [content.digest, *([content.sha512] if content.digest in self.sha512 else [])]
        there = content.digest in self.known[place].blobs
        for wanted in names:
            answer = repository.get(f"blobs/{wanted}").expect(200 if there else 404)
            assert not there or answer.body == content.body
        ranged = repository.get(f"blobs/{content.digest}", {"Range": f"bytes={first}-{last}"})
        if there and first <= last and first < content.size:
            assert ranged.expect(206).body == content.body[first : last + 1]
        else:
            ranged.expect(416 if there else 404)

    @rule(place=places, number=manifests)
    def read_manifest(self, place: str, number: int) -> None:
        content, there = self.manifests[number], self.manifests[number].digest in self.known[place].manifests
        answer = self.repositories[place].get(f"manifests/{content.digest}").expect(200 if there else 404)
        assert not there or (answer.body, answer.headers["Content-Type"]) == (content.body, content.media_type)

    @rule(place=places, number=manifests)
    def read_referrers(self, place: str, number: int) -> None:
        subject = self.manifests[number].digest
        listed = self.repositories[place].referrers(subject)
        assert {entry["digest"] for entry in listed} == self.known[place].referrers(subject)

    @precondition(lambda self: self.uploads)
    @rule(pick=st.integers(0, 100))
    def read_upload(self, pick: int) -> None:
        upload = self.uploads[pick % len(self.uploads)]
        answer = self.client.get(upload.location).expect(204)
        assert answer.headers["Range"] == f"0-{max(len(upload.received) - 1, 0)}"

    @invariant()
    def tags_agree(self) -> None:
        for place, known in self.known.items():
            repository = self.repositories[place]
            listed = repository.get("tags/list").expect(200 if known.exists else 404)
            if known.exists:
                assert listed.json()["tags"] == sorted(known.tags)
            for tag, wanted in known.tags.items():
                assert repository.head(f"manifests/{tag}").expect(200).headers["Docker-Content-Digest"] == wanted

    def teardown(self) -> None:
        for repository in getattr(self, "repositories", {}).values():
            repository.delete("_holdfast/repository").expect(202, 404)


def test_server_and_model_agree(registry: Server, long: bool) -> None:
    machine = type("RegistryOfThisServer", (Registry,), {"server": registry})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=200 if long else 8,
            stateful_step_count=60 if long else 40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
