"""Digests: the names of content. (image-spec 1.1 "Digests"; distribution-spec 1.1 "Pulling blobs")"""

import hashlib
import re
from typing import NewType

from holdfast.model.errors import DIGEST_INVALID, Failure

Digest = NewType("Digest", str)
"""A checked digest, `sha256:` and 64 or `sha512:` and 128 lower-case hexadecimal digits."""

ALGORITHMS = {"sha256": 64, "sha512": 128}
"""The algorithms that content may be named by, and the number of hexadecimal digits of each."""

_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")


def is_digest(text: str) -> bool:
    """Tell whether `text` is a digest that this registry supports."""
    return _DIGEST.fullmatch(text) is not None


def parse_digest(text: str) -> Digest:
    """Check `text` (any length). Raises `Failure(DIGEST_INVALID)`, saying what is wrong with it."""
    if _DIGEST.fullmatch(text):
        return Digest(text)
    algorithm, colon, encoded = text.partition(":")
    if not colon:
        why = "a digest is an algorithm, a colon and hexadecimal digits"
    elif algorithm not in ALGORITHMS:
        why = f"the algorithm is not supported; use {' or '.join(ALGORITHMS)}"
    elif len(encoded) != ALGORITHMS[algorithm]:
        why = f"{algorithm} has {ALGORITHMS[algorithm]} hexadecimal digits, not {len(encoded)}"
    else:
        why = "only the characters 0-9 and a-f are allowed"
    raise Failure(DIGEST_INVALID, f"invalid digest: {why}", detail={"digest": text[:200]})


def algorithm_of(digest: Digest) -> str:
    """Give the part before the colon: `sha256` or `sha512`."""
    return digest.partition(":")[0]


def encoded_of(digest: Digest) -> str:
    """Give the part after the colon."""
    return digest.partition(":")[2]


def digest_of(content: bytes, algorithm: str = "sha256") -> Digest:
    """Compute the digest of `content`; hashes all of it, so call it with more than a few KiB only in a thread."""
    return Digest(f"{algorithm}:{hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()}")


EMPTY = frozenset(digest_of(b"", algorithm) for algorithm in ALGORITHMS)
"""The digests of no bytes."""
