"""Pages of tags, repositories and referrers. (distribution-spec 1.1 "Content Discovery")"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from holdfast.model.errors import PAGINATION_INVALID, Failure


@dataclass(frozen=True, slots=True)
class Page:
    """What part of a sorted list is asked for: at most `limit` names (zero or more) that sort after `last`."""

    limit: int
    last: str


def parse_page(n: str | None, last: str | None, most: int) -> Page:
    """Read the parameters `n` and `last`; `most` bounds a page. Raises `Failure(PAGINATION_INVALID)`."""
    if n is None:
        return Page(most, last or "")
    if not (n.isascii() and n.isdigit()):
        raise Failure(PAGINATION_INVALID, detail={"n": n[:100]})
    return Page(most if len(n) > 18 else min(int(n), most), last or "")


def next_link(path: str, page: Page, last: str, also: Sequence[tuple[str, str]] = ()) -> str:
    """Make the value of the Link header for the page after the one that ends with `last`.

    `path` is absolute; `also` are further parameters of the request that the next page is to be asked with.
    """
    return f'<{quote(path)}?{urlencode([*also, ("n", str(page.limit)), ("last", last)])}>; rel="next"'
