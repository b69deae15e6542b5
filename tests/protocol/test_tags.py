"""Listing tags (distribution-spec 1.1 "Listing Tags")."""

from collections.abc import Callable

import pytest

from harness.http import Client
from harness.repository import Repository
from harness.rules import every_answer
from harness.server import Server
from protocol.paging import last_of, next_page, walk, walk_names

NAMES = ["B", "a-b", "A", "a", "a.b", "_x", "1", "10", "2", "Z", "a_b", "aa", "b", "latest", "v1.0", "v1.0-rc1", "zz"]
SORTED = sorted(NAMES)


def tag_all(repository: Repository, tags: list[str]) -> None:
    """Give one manifest many tags."""
    content = repository.image()
    for start in range(0, len(tags), 100):
        query = "?" + "&".join(f"tag={tag}" for tag in tags[start : start + 100])
        repository.put_manifest(content, content.digest, query).expect(201)


@pytest.fixture
def tagged(repository: Repository) -> Repository:
    """`repository` with the tags of `NAMES`."""
    tag_all(repository, NAMES)
    return repository


def test_whole_list(tagged: Repository) -> None:
    """T1: bytewise order, whatever the order of the pushes; prefixes of one another are all there."""
    answer = tagged.get("tags/list").expect(200)
    assert answer.json() == {"name": tagged.name, "tags": SORTED}
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "Link" not in answer.headers


def test_unknown_repository(repository: Repository) -> None:
    """T1."""
    for query in ("", "?n=5", "?n=0", "?last=a"):
        repository.get(f"tags/list{query}").expect(404, code="NAME_UNKNOWN")


def test_no_tags(repository: Repository) -> None:
    """T1: an empty list, not null; before the first tag as after the last."""
    repository.push_image()
    assert repository.get("tags/list").expect(200).json() == {"name": repository.name, "tags": []}
    repository.push_image("latest")
    repository.delete("manifests/latest").expect(202)
    assert repository.get("tags/list").expect(200).json() == {"name": repository.name, "tags": []}


@pytest.mark.parametrize(
    ("query", "tags", "more"),
    [
        ("n=1", SORTED[:1], True),
        ("n=5", SORTED[:5], True),
        (f"n={len(NAMES) - 1}", SORTED[:-1], True),
        (f"n={len(NAMES)}", SORTED, False),
        ("n=100", SORTED, False),
        ("n=99999999999999999999999", SORTED, False),
        ("n=007", SORTED[:7], True),
        ("n=0", [], False),
        ("n=0&last=a", [], False),
        ("last=a", SORTED[SORTED.index("a") + 1 :], False),
        ("last=", SORTED, False),
        ("last=Zz", SORTED[SORTED.index("Z") + 1 :], False),
        ("last=a-", SORTED[SORTED.index("a") + 1 :], False),
        ("last=zz", [], False),
        ("last=zzz", [], False),
        ("last=~", [], False),
        ("last=%20", SORTED, False),
        ("n=2&last=a.b", ["a_b", "aa"], True),
        ("last=a.b&n=2", ["a_b", "aa"], True),
        ("n=2&last=v1.0", ["v1.0-rc1", "zz"], False),
        ("n=5&last=zz", [], False),
        ("n=3&last=%2500%27%3B--", SORTED[:3], True),
    ],
)
def test_part_of_the_list(tagged: Repository, query: str, tags: list[str], more: bool) -> None:
    """T2, T3: at most n, all greater than last, and a Link when there is more."""
    answer = tagged.get(f"tags/list?{query}").expect(200)
    assert answer.json() == {"name": tagged.name, "tags": tags}
    following = next_page(answer)
    assert (following is not None) == more
    if following:
        assert following.startswith(tagged.url("tags/list?"))
        assert last_of(following) == tags[-1]


@pytest.mark.parametrize(
    "n", ["-1", "-0", "1.5", "abc", "1e3", "0x10", "1_0", "%2B1", "%201", "1%20", "%d9%a1", "%c2%b2", "NaN", "null"]
)
def test_bad_number(tagged: Repository, n: str) -> None:
    """T2."""
    tagged.get(f"tags/list?n={n}").expect(400, code="UNSUPPORTED")


@pytest.mark.parametrize("n", [1, 2, 3, 5, 16, 17, 18])
def test_walk(tagged: Repository, n: int) -> None:
    """T3: following Link gives each tag once, in order, n to a page."""
    pages = walk(tagged.client, tagged.url(f"tags/list?n={n}"), "tags")
    assert pages == [SORTED[start : start + n] for start in range(0, len(SORTED), n)]


def test_walk_while_tags_come_and_go(tagged: Repository) -> None:
    """A page begins after a name, not at a number: what stays is met once, even when the last name met is gone."""
    first = tagged.get("tags/list?n=5").expect(200)
    tagged.delete(f"manifests/{SORTED[4]}").expect(202)
    tagged.delete(f"manifests/{SORTED[0]}").expect(202)
    tagged.push_image("0")
    following = next_page(first)
    assert following is not None
    assert walk_names(tagged.client, following, "tags") == SORTED[5:]


def test_default_page(repository: Repository) -> None:
    """T2: without n, or with a larger one, a page of a thousand and a Link to the rest."""
    tags = [f"t{number:04}" for number in range(1005)]
    tag_all(repository, tags)
    for query in ("", "?n=1001", "?n=5000", "?n=99999999999999999999"):
        pages = walk(repository.client, repository.url(f"tags/list{query}"), "tags")
        assert pages == [tags[:1000], tags[1000:]]
    assert walk(repository.client, repository.url("tags/list?n=1000"), "tags") == [tags[:1000], tags[1000:]]
    assert walk(repository.client, repository.url("tags/list?n=400&last=t0204"), "tags") == [tags[205:605], tags[605:]]


@pytest.fixture(scope="session")
def small_pages(start_server: Callable[..., Server]) -> Server:
    """A server whose pages hold five names."""
    return start_server(storage="inmemory", catalog_maxentries="5", tags_maxtags="5")


def test_configured_page(small_pages: Server) -> None:
    repository = Repository(Client(small_pages, check=every_answer), "configured/page")
    tag_all(repository, NAMES)
    for query in ("", "?n=6", "?n=1000"):
        pages = walk(repository.client, repository.url(f"tags/list{query}"), "tags")
        assert pages == [SORTED[start : start + 5] for start in range(0, len(SORTED), 5)]


def test_configured_catalog_page(small_pages: Server) -> None:
    client = Client(small_pages, check=every_answer)
    names = [f"catalog/r{number:02}" for number in range(12)]
    for name in names:
        Repository(client, name).push_image("latest")
    for query in ("?last=catalog/", "?last=catalog&n=6", "?n=1000&last=cat"):
        pages = walk(client, f"/v2/_catalog{query}", "repositories")
        assert {len(page) for page in pages[:-1]} == {5}
        assert [name for page in pages for name in page if name.startswith("catalog/")] == names


def test_link_encodes_the_name(tagged: Repository) -> None:
    """T3: the Link is a URL as it stands, so a proxy or client need not repair it."""
    following = next_page(tagged.get("tags/list?n=2").expect(200))
    assert following is not None
    assert following.isascii()
    assert " " not in following
    tagged.client.get(following).expect(200)
