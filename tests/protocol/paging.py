"""Reading lists page by page."""

import re
from itertools import chain
from typing import Any
from urllib.parse import unquote

from harness.http import Client, Response


def next_page(answer: Response) -> str | None:
    """The target of the next page, None on the last one. Link has exactly the form that clients cut it out of."""
    link = answer.headers.get("Link")
    if link is None:
        return None
    found = re.fullmatch(r'<(/v2/[^<>;\s]+)>; rel="next"', link)
    assert found, answer
    return found[1]


def walk(client: Client, target: str, field: str) -> list[list[Any]]:
    """What is listed on each page, following Link from the first page to the last."""
    pages = []
    following: str | None = target
    while following is not None:
        answer = client.get(following).expect(200)
        pages.append(answer.json()[field])
        following = next_page(answer)
        assert len(pages) < 1000
    return pages


def walk_names(client: Client, target: str, field: str) -> list[str]:
    """The names on all pages, in order."""
    return list(chain.from_iterable(walk(client, target, field)))


def last_of(target: str) -> str:
    """The value of `last` in a target."""
    found = re.search(r"[?&]last=([^&]*)", target)
    assert found, target
    return unquote(found[1])
