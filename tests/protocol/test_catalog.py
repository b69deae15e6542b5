"""Listing repositories (Docker Registry V2 "Listing Repositories")."""

from collections.abc import Callable
from itertools import chain

import pytest

from harness.repository import Repository
from protocol.paging import next_page, walk, walk_names

TAILS = ["a", "a-b", "a/b", "a.b", "a_b", "aa", "a/b/c", "b", "0"]


@pytest.fixture
def names(repository: Repository) -> list[str]:
    """The names, sorted, of repositories of which some are prefixes of others; each holds an image."""
    for tail in TAILS:
        Repository(repository.client, f"{repository.name}/{tail}").push_image("latest")
    return sorted(f"{repository.name}/{tail}" for tail in TAILS)


def test_sorted_and_complete(repository: Repository, names: list[str]) -> None:
    """T4: bytewise, each once, prefixes of one another too."""
    answer = repository.client.get("/v2/_catalog").expect(200)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    found = walk_names(repository.client, "/v2/_catalog", "repositories")
    assert found == sorted(set(found))
    assert [name for name in found if name.startswith(repository.name)] == names


@pytest.mark.parametrize("n", [1, 2, 4, 9])
def test_walk(repository: Repository, names: list[str], n: int) -> None:
    pages = walk(repository.client, f"/v2/_catalog?n={n}&last={repository.name}/", "repositories")
    assert all(len(page) == n for page in pages[:-1])
    assert list(chain.from_iterable(pages))[: len(names)] == names


def test_last(repository: Repository, names: list[str]) -> None:
    """T3: strictly greater; need not exist."""
    for place, name in enumerate(names):
        listed = repository.client.get(f"/v2/_catalog?n=1&last={name.replace('/', '%2F')}").expect(200)
        if place + 1 < len(names):
            assert listed.json() == {"repositories": [names[place + 1]]}
    between = repository.client.get(f"/v2/_catalog?n=1&last={names[0]}!").expect(200)
    assert between.json()["repositories"] == [names[1]]
    assert repository.client.get("/v2/_catalog?last=~").expect(200).json() == {"repositories": []}


def test_no_number(repository: Repository, names: list[str]) -> None:
    answer = repository.client.get("/v2/_catalog?n=0").expect(200)
    assert answer.json() == {"repositories": []}
    assert next_page(answer) is None


@pytest.mark.parametrize("n", ["-1", "1.5", "abc", "0x10", "1_0", "%2B1"])
def test_bad_number(repository: Repository, n: str) -> None:
    repository.client.get(f"/v2/_catalog?n={n}").expect(400, code="UNSUPPORTED")


def test_huge_number(repository: Repository, names: list[str]) -> None:
    pages = walk(repository.client, f"/v2/_catalog?n=99999999999999999999&last={repository.name}/", "repositories")
    assert list(chain.from_iterable(pages))[: len(names)] == names


def test_deleted_repository_is_not_listed(repository: Repository, new_repository: Callable[[], Repository]) -> None:
    repository.push_image("latest")
    assert repository.name in walk_names(repository.client, "/v2/_catalog", "repositories")
    repository.delete("_holdfast/repository").expect(202)
    assert repository.name not in walk_names(repository.client, "/v2/_catalog", "repositories")
