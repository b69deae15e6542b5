"""What an operator asks of manifests beyond what the protocol does: registry:2's `validation` section."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from holdfast.model.media_types import is_foreign_layer

LONGEST_URL = 2048
"""The most characters of a URL that are compared with patterns."""


class _Platform(Struct, frozen=True):
    os: str = ""
    architecture: str = ""


_platform = msgspec.json.Decoder(_Platform)


@dataclass(frozen=True, slots=True)
class URLRules:
    """Which URLs a layer may name. Where no pattern is given at all, none may be named."""

    allow: tuple[re.Pattern[str], ...] = ()
    deny: tuple[re.Pattern[str], ...] = ()

    def objection(self, url: str) -> str:
        """Why a URL may not be named; empty if it may."""
        if not self.allow and not self.deny:
            return "validation.manifests.urls allows none"
        if len(url) > LONGEST_URL or not _on_the_web(url):
            return f"it has to be http or https, without a fragment and of at most {LONGEST_URL} characters"
        if self.allow and not any(pattern.search(url) for pattern in self.allow):
            return "validation.manifests.urls.allow has no pattern for it"
        if any(pattern.search(url) for pattern in self.deny):
            return "validation.manifests.urls.deny has a pattern for it"
        return ""


@dataclass(frozen=True, slots=True)
class Rules:
    """`urls`: None where every URL may be named. `every_child`: whether all manifests that an index lists have to exist;
    `platforms` (os, architecture): those whose manifests have to, otherwise.
    """

    urls: URLRules | None = None
    every_child: bool = False
    platforms: frozenset[tuple[str, str]] = frozenset()

    def requires(self, platform: bytes) -> bool:
        """Tell whether the manifest of a platform has to exist; `platform` is that field's JSON, which may be anything."""
        if self.every_child or not self.platforms:
            return self.every_child
        try:
            known = _platform.decode(platform)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return (known.os, known.architecture) in self.platforms


LENIENT = Rules()
"""What holds unless something else is configured."""


def may_lie_elsewhere(media_type: str) -> bool:
    """Tell whether clients fetch a layer of this type from the URLs that its descriptor names."""
    return is_foreign_layer(media_type) or media_type.startswith("application/vnd.oci.image.layer.")


def _on_the_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and not parts.fragment and bool(parts.netloc)
