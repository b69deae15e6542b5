"""What a registry serves, by name and in few words, so that two registries can be compared; and where they differ on purpose."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.content import digest
from harness.http import Client, Connection, Listener
from registry2.servers import ACCEPT

Survey = dict[str, str]
"""What is asked for, and what was answered: `a/b manifests/latest` and `200 sha256:... TYPE`, for instance."""

NO = "404"


@dataclass
class Names:
    """Every name that was ever used, whether or not it is there now: tags, manifests and blobs of each repository."""

    tags: dict[str, set[str]] = field(default_factory=dict)
    manifests: dict[str, set[str]] = field(default_factory=dict)
    blobs: dict[str, set[str]] = field(default_factory=dict)

    def repository(self, name: str) -> None:
        """A repository that may be there."""
        for kind in (self.tags, self.manifests, self.blobs):
            kind.setdefault(name, set())


@dataclass(frozen=True)
class Difference:
    """What may differ: a name, Holdfast's answer and docker-registry's (regular expressions), and why that is meant to be."""

    name: str
    ours: str
    theirs: str
    why: str


DELIBERATE = (
    Difference(
        r"catalog .*",
        NO,
        "listed",
        "registry:2 lists a repository from its first blob on, and for ever; we, while it has manifests",
    ),
    Difference(
        r".* tags",
        r"\[\]",
        NO,
        "a repository that has blobs or manifests, but never had a tag, is known here: its list is empty",
    ),
    Difference(
        r".* tags",
        NO,
        r"\[\]",
        "registry:2 knows a repository for ever once it had a tag; we, while something is in it",
    ),
    Difference(
        r".* blobs/sha512:.*",
        r"200 sha256:\w+ \d+ named sha512",
        r"200 sha256:\w+ \d+ named sha256",
        "a blob asked for by its sha512 digest is answered under that name, as the specification has it",
    ),
    Difference(
        r".* blobs/sha512:.*",
        "200 .*",
        NO,
        "a sha512 digest names the same bytes everywhere: whoever has the blob has it under both names",
    ),
    Difference(
        r".* blobs/sha512:.*",
        NO,
        "500",
        "docker-registry fails over a sha512 link to a blob that its repository has no more; nothing is found here",
    ),
)


def survey(listener: Listener, names: Names) -> Survey:
    """Ask for everything that `names` knows: the catalog, all tags, all manifests by tag and digest, all blobs."""
    found: Survey = {}
    with Client(listener).connect() as connection:
        catalog = _pages(connection, "/v2/_catalog?n=1000", "repositories") or []
        assert len(catalog) == len(set(catalog))
        for name in {*names.tags, *catalog}:
            found[f"catalog {name}"] = "listed" if name in catalog else NO
        for name in names.tags:
            listed = _pages(connection, f"/v2/{name}/tags/list", "tags")
            found[f"{name} tags"] = NO if listed is None else str(sorted(listed))
            for reference in {*names.tags[name], *names.manifests[name], *(listed or [])}:
                found[f"{name} manifests/{reference}"] = _manifest(connection, name, reference)
            for blob in names.blobs[name]:
                found[f"{name} blobs/{blob}"] = _blob(connection, name, blob)
    return found


def differences(ours: Survey, theirs: Survey) -> list[str]:
    """What differs between Holdfast and docker-registry without being meant to, in lines for people."""
    return [
        f"{name}: Holdfast {ours.get(name, NO)}, docker-registry {theirs.get(name, NO)}"
        for name in sorted({*ours, *theirs})
        if ours.get(name, NO) != theirs.get(name, NO) and deliberate(name, ours, theirs) is None
    ]


def deliberate(name: str, ours: Survey, theirs: Survey) -> Difference | None:
    """The difference that is meant to be between two answers, if there is one."""
    answers = (name, ours.get(name, NO), theirs.get(name, NO))
    fitting = (one for one in DELIBERATE if _fits((one.name, one.ours, one.theirs), answers))
    return next(fitting, None)


def _fits(patterns: Iterable[str], texts: Iterable[str]) -> bool:
    return all(re.fullmatch(pattern, text) for pattern, text in zip(patterns, texts, strict=True))


def _pages(connection: Connection, target: str, key: str) -> list[str] | None:
    """All pages of a list, or None where the name is unknown."""
    found: list[str] = []
    following: str | None = target
    while following:
        answer = connection.request("GET", following).expect(200, 404)
        if answer.status == 404:
            return None
        found += answer.json()[key] or []
        link = answer.headers.get("Link")
        following = re.sub(r"^<(?:http://[^/]*)?([^>]*)>.*$", r"\1", link) if link else None
    return found


def _manifest(connection: Connection, name: str, reference: str) -> str:
    answer = connection.request("GET", f"/v2/{name}/manifests/{reference}", ACCEPT).expect(200, 404)
    if answer.status == 404:
        return NO
    headers = answer.headers
    assert headers["Docker-Content-Digest"] == digest(answer.body)
    assert (headers.get("Etag") or f'"{digest(answer.body)}"') == f'"{digest(answer.body)}"'
    head = connection.request("HEAD", f"/v2/{name}/manifests/{reference}", ACCEPT).expect(200).headers
    for field_ in ("Content-Type", "Content-Length", "Docker-Content-Digest"):
        assert head[field_] == headers[field_], f"HEAD {name}:{reference} has another {field_}"
    return f"200 {digest(answer.body)} {headers['Content-Length']} {headers['Content-Type']}"


def _blob(connection: Connection, name: str, blob: str) -> str:
    answer = connection.request("GET", f"/v2/{name}/blobs/{blob}").expect(200, 404, 500)
    if answer.status != 200:
        return str(answer.status)
    named = answer.headers["Docker-Content-Digest"]
    assert named in {digest(answer.body), blob}
    return f"200 {digest(answer.body)} {answer.headers['Content-Length']} named {named.partition(':')[0]}"
