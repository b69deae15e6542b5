"""2xx means durable (I3): what the kernel was asked to do before each 201, and in which order.

Data before the claim, the claim before the blob's name, the name before the link in the database, that before the link in the tree, and all
of it before the answer.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durability.strace import MAKES, Call, Condition, Step, TracedServer, check, parse, step
from harness.content import Content
from harness.http import Client
from harness.repository import Repository, pieces, with_query

UPLOAD = r"_uploads/[^/]+/data"
TEMPORARY = r"_holdfast/tmp/[^/]+"
LOG = r"holdfast\.db-wal"


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracedServer]:
    """A traced server on files."""
    settings = {"server.engine": request.param, "server.workers": "1", "storage.delete.enabled": "true"}
    with TracedServer(tmp_path_factory.mktemp("traced"), settings) as running:
        yield running


def encoded(digest_: str) -> str:
    """A digest as a part of a path."""
    return digest_.replace(":", "/")


def blob_directory(content: Content) -> str:
    """Where a blob is kept."""
    encoded_ = content.digest.removeprefix("sha256:")
    return f"blobs/sha256/{encoded_[:2]}/{encoded_}"


def written(path: str, text: str = "") -> Condition:
    """A call that writes to a file."""
    return lambda call: call.writes(path, text)


def synced(path: str) -> Condition:
    """A call that makes a file or directory durable."""
    return lambda call: call.syncs(path)


def named(path: str) -> Condition:
    """A call that gives a file a name."""
    return lambda call: call.renames_to(path)


def committed(what: str, content: str) -> list[Step]:
    """A transaction that writes something."""
    return [
        step(f"{what} is written to the log", written(LOG, content)),
        step(f"{what} is durable", synced(LOG)),
    ]


def placed(content: Content) -> list[Step]:
    """The name of a blob."""
    directory = blob_directory(content)
    return [
        step("the blob has its name", named(f"{directory}/data")),
        step("the name is durable", synced(directory), synced(str(Path(directory).parent))),
    ]


def linked(repository: Repository, path: str, content: Content) -> list[Step]:
    """A link of the tree, in a directory of its own."""
    link = f"repositories/{repository.name}/{path}"
    return [
        step(f"{path} is written", written(TEMPORARY, content.digest)),
        step(f"{path} is durable before it has its name", synced(TEMPORARY)),
        step(f"{path} has its name", named(f"{link}/link")),
        step(f"the name of {path} is durable", synced(link), synced(str(Path(link).parent))),
    ]


ANSWER = step("the answer", lambda call: call.answers(201))

Kind = Callable[[Repository], tuple[Callable[[], object], list[Step]]]
"""Prepares a push; gives what pushes, and the steps that are to be seen."""


def whole_blob(repository: Repository, blob: Content) -> list[Step]:
    """The steps of a request that brings a blob and closes its upload."""
    return [
        step("the bytes are written", written(UPLOAD)),
        step("the bytes are durable", synced(UPLOAD)),
        *committed("the claim", blob.digest),
        *placed(blob),
        *committed("the link", blob.digest),
        *linked(repository, f"_layers/{encoded(blob.digest)}", blob),
    ]


def post_and_put(repository: Repository) -> tuple[Callable[[], object], list[Step]]:
    """PUT with all bytes after a POST."""
    blob = repository.blob(1_000_000)
    target = with_query(repository.open_upload(), f"digest={blob.digest}")
    return lambda: repository.client.put(target, {}, blob.body).expect(201), [*whole_blob(repository, blob), ANSWER]


def post_with_digest(repository: Repository) -> tuple[Callable[[], object], list[Step]]:
    """POST with all bytes."""
    blob = repository.blob()
    return lambda: repository.push_blob(blob), [*whole_blob(repository, blob), ANSWER]


def under_sha512(repository: Repository) -> tuple[Callable[[], object], list[Step]]:
    """A blob with two digests has two links."""
    blob = repository.blob()
    second = linked(repository, f"_layers/{encoded(blob.sha512)}", blob)
    return lambda: repository.push_blob(blob, "sha512"), [*whole_blob(repository, blob), *second, ANSWER]


def chunks(repository: Repository) -> tuple[Callable[[], object], list[Step]]:
    """PATCH, PATCH, then PUT without bytes: nothing is left to be made durable but names."""
    blob = repository.blob(1_000_000)
    upload = repository.open_upload()

    def act() -> None:
        location = upload
        for piece in pieces(blob.body, 500_000):
            location = repository.client.patch(location, {}, piece).expect(202).headers["Location"]
        repository.client.put(with_query(location, f"digest={blob.digest}")).expect(201)

    patch = [
        step("a chunk is written", written(UPLOAD)),
        step("the chunk is durable", synced(UPLOAD)),
        *committed("the chunk's length", ""),
        step("the chunk's answer", lambda call: call.answers(202)),
    ]
    put = [
        *committed("the claim", blob.digest),
        *placed(blob),
        *committed("the link", blob.digest),
        *linked(repository, f"_layers/{encoded(blob.digest)}", blob),
    ]
    return act, [*patch, *patch, *put, ANSWER]


def mount(repository: Repository) -> tuple[Callable[[], object], list[Step]]:
    """A blob that another repository has."""
    other = Repository(repository.client, f"{repository.name}-source")
    blob = other.push_blob(other.blob())
    target = repository.url("blobs/uploads/") + f"?mount={blob.digest}&from={other.name}"
    layer = f"_layers/{encoded(blob.digest)}"
    steps = [*committed("the link", blob.digest), *linked(repository, layer, blob), ANSWER]
    return lambda: repository.client.post(target).expect(201), steps


def manifest(repository: Repository, content: Content) -> list[Step]:
    """The steps of every push of a manifest."""
    return [
        step("the bytes are written", written(TEMPORARY, "schemaVersion")),
        step("the bytes are durable", synced(TEMPORARY)),
        *placed(content),
        *committed("the manifest", content.digest),
        *linked(repository, f"_manifests/revisions/{encoded(content.digest)}", content),
    ]


def tagged(repository: Repository, tag: str, content: Content) -> list[Step]:
    """The steps of every tag that is set."""
    directory = f"_manifests/tags/{tag}"
    return [
        *linked(repository, f"{directory}/index/{encoded(content.digest)}", content),
        *linked(repository, f"{directory}/current", content),
    ]


def manifest_by_tag(repository: Repository) -> tuple[Callable[[], object], list[Step]]:
    """PUT of a manifest by tag."""
    content = repository.image()
    steps = [*manifest(repository, content), *tagged(repository, "latest", content), ANSWER]
    return lambda: repository.push_manifest(content, "latest"), steps


def manifest_by_digest_with_tags(repository: Repository) -> tuple[Callable[[], object], list[Step]]:
    """PUT of a manifest by digest, with two tags."""
    content = repository.image()
    steps = [
        *manifest(repository, content),
        *tagged(repository, "a", content),
        *tagged(repository, "b", content),
        ANSWER,
    ]
    return lambda: repository.put_manifest(content, content.digest, "?tag=a&tag=b").expect(201), steps


def retag(repository: Repository) -> tuple[Callable[[], object], list[Step]]:
    """PUT of a known manifest under the tag of another one."""
    content = repository.push_image("first")
    repository.push_image("latest")
    tag = "_manifests/tags/latest"
    steps = [
        *committed("the tag", content.digest),
        *linked(repository, f"{tag}/index/{encoded(content.digest)}", content),
        step("the link has its name", named(f"{tag}/current/link")),
        step("the name is durable", synced(f"{tag}/current")),
        ANSWER,
    ]
    return lambda: repository.push_manifest(content, "latest"), steps


def again_after_removal(repository: Repository) -> tuple[Callable[[], object], list[Step]]:
    """Directories that were there before, and are new again."""
    content = repository.push_image("latest")
    repository.delete("manifests/latest").expect(202)
    repository.delete(f"manifests/{content.digest}").expect(202)
    steps = [*manifest(repository, content), *tagged(repository, "latest", content), ANSWER]
    return lambda: repository.push_manifest(content, "latest"), steps


KINDS: list[Kind] = [
    *(post_and_put, post_with_digest, under_sha512, chunks, mount),
    *(manifest_by_tag, manifest_by_digest_with_tags, retag, again_after_removal),
]


def rename_rules(calls: list[Call], answer: Callable[[Call], bool]) -> list[str]:
    """What is wrong with the names given in a trace: each is of a durable file, and is durable before the next answer."""
    wrong = []
    for rename in (call for call in calls if call.renames_to(r"(?:data|link|mediatype)")):
        source, target = map(re.escape, rename.paths)
        last = max((call.ended for call in calls if call.writes(source) and call.began < rename.began), default=0)
        if not any(call.syncs(source) and last < call.began and call.ended < rename.began for call in calls):
            wrong.append(f"not durable before its rename: {rename}")
        if not _synced_before_answer(calls, rename, str(Path(target).parent), answer):
            wrong.append(f"the name is not durable at the answer: {rename}")
    return wrong


def directory_rules(calls: list[Call], answer: Callable[[Call], bool]) -> list[str]:
    """What is wrong with new directories in a trace: each is durable before the next 201, but for those of what is under way."""
    return [
        f"the directory is not durable at the answer: {call}"
        for call in calls
        if call.name in MAKES and call.good and re.search(r"/root(/holdfast|/docker.*)?$", call.paths[0])
        if not re.search(r"/_uploads|/_holdfast", call.paths[0])
        if not _synced_before_answer(calls, call, re.escape(str(Path(call.paths[0]).parent)), answer)
    ]


def claim_rules(calls: list[Call]) -> list[str]:
    """What is wrong with blobs in a trace: each has a durable claim before it has its name. (No file without a row)"""
    wrong = []
    for rename in (call for call in calls if call.renames_to(r"blobs/sha256/.*/data")):
        name = Path(rename.paths[1]).parent.name
        claims = [call for call in calls if call.writes(LOG, name) and call.ended < rename.began]
        if not any(
            call.syncs(LOG) and claims[0].ended < call.began and call.ended < rename.began for call in calls if claims
        ):
            wrong.append(f"no claim before: {rename}")
    return wrong


def _synced_before_answer(calls: list[Call], after: Call, path: str, answer: Callable[[Call], bool]) -> bool:
    until = next((call.began for call in calls if call.began > after.began and answer(call)), None)
    syncs = [call for call in calls if call.syncs(path) and call.began > after.ended]
    return until is None or any(call.ended < until for call in syncs)


def every_rule(calls: list[Call]) -> list[str]:
    """What is wrong in a whole trace."""

    def answer(call: Call) -> bool:
        return call.answers(201)

    return [*rename_rules(calls, answer), *directory_rules(calls, answer), *claim_rules(calls)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_order(server: TracedServer, kind: Kind) -> None:
    repository = Repository(Client(server), f"order/{kind.__name__.replace('_', '-')}")
    act, steps = kind(repository)
    since = server.position()
    act()
    calls = server.answered(since, 1)
    check(calls, steps)
    assert every_rule(parse(server.lines())) == []
    for each in steps:
        others = [call for call in calls if not any(condition(call) for condition in each.conditions)]
        with pytest.raises(AssertionError, match="not in order"):
            check(others, steps)


def test_the_rules_see_what_is_missing(server: TracedServer) -> None:
    """Of a good trace, any kind of call left out is noticed."""
    Repository(Client(server), "order/rules").push_image("latest")
    calls = parse(server.lines())
    assert every_rule(calls) == []
    for path in (
        UPLOAD,
        TEMPORARY,
        r"blobs/sha256/../[0-9a-f]{64}",
        r"blobs/sha256",
        LOG,
        r"_manifests",
        r"current",
        r"_layers",
    ):
        assert every_rule([call for call in calls if not call.syncs(path)]), f"nothing was missed: {path}"
    assert every_rule([call for call in calls if not call.writes(LOG)])
