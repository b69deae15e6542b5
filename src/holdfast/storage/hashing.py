"""SHA-2 whose state can be stored and taken up again, in another process too.

Python's hashlib cannot export a state, so this calls libcrypto's SHA256_* and SHA512_* functions, which stand in the same library that hashlib
uses, at the same speed and without the interpreter's lock. Where no shared libcrypto is found, states are empty and the caller hashes again.
"""

import _hashlib
import ctypes
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from holdfast.model.digests import Digest, algorithm_of

_CONTEXT_BYTES: Final = {"sha256": 112, "sha512": 216}
_DIGEST_BYTES: Final = {"sha256": 32, "sha512": 64}


@dataclass(frozen=True, slots=True)
class _Functions:
    """`update` gives the interpreter's lock up, the others keep it: for less than a microsecond's work, getting it back costs more."""

    update: Any
    final: Any
    fresh: bytes


def _load() -> dict[str, _Functions]:
    try:
        library, holding = ctypes.CDLL(_hashlib.__file__), ctypes.PyDLL(_hashlib.__file__)
        return {name: _functions(library, holding, name) for name in _CONTEXT_BYTES}
    except (OSError, AttributeError):
        return {}


def _functions(library: ctypes.CDLL, holding: ctypes.PyDLL, name: str) -> _Functions:
    init = getattr(holding, f"{name.upper()}_Init")
    update = getattr(library, f"{name.upper()}_Update")
    final = getattr(holding, f"{name.upper()}_Final")
    init.argtypes = [ctypes.c_char_p]
    update.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    final.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    context = ctypes.create_string_buffer(_CONTEXT_BYTES[name])
    init(context)
    return _Functions(update, final, context.raw)


_FUNCTIONS = _load()

CAN_RESUME: Final = bool(_FUNCTIONS)
"""Whether `ContentHash.state` gives states on this machine."""


class ContentHash:
    """The hash of a growing content, in one algorithm (`sha256` or `sha512`)."""

    def __init__(self, algorithm: str = "sha256", state: bytes = b"") -> None:
        """Start at nothing, or at a `state` that this class made with the same algorithm."""
        self.algorithm = algorithm
        self._functions = _FUNCTIONS[algorithm]
        self._context = ctypes.create_string_buffer(state or self._functions.fresh, _CONTEXT_BYTES[algorithm])

    def update(self, piece: bytes) -> None:
        """Take in more content; releases the interpreter's lock."""
        self._functions.update(self._context, piece, len(piece))

    @property
    def state(self) -> bytes:
        """The state so far, in this machine's own form; empty if states cannot be had."""
        return self._context.raw

    def digest(self) -> Digest:
        """The digest of the content so far; more can follow."""
        copy = ctypes.create_string_buffer(self._context.raw, len(self._context))
        out = ctypes.create_string_buffer(_DIGEST_BYTES[self.algorithm])
        self._functions.final(out, copy)
        return Digest(f"{self.algorithm}:{out.raw.hex()}")


class _WholeHash(ContentHash):
    """The same without states, for interpreters with a libcrypto of their own."""

    def __init__(self, algorithm: str = "sha256", state: bytes = b"") -> None:
        if state:
            raise ValueError("a state cannot be resumed on this machine")
        self.algorithm = algorithm
        self._hash = hashlib.new(algorithm, usedforsecurity=False)

    def update(self, piece: bytes) -> None:
        self._hash.update(piece)

    @property
    def state(self) -> bytes:
        return b""

    def digest(self) -> Digest:
        return Digest(f"{self.algorithm}:{self._hash.hexdigest()}")


def content_hash(algorithm: str = "sha256", state: bytes = b"") -> ContentHash:
    """Make a hash, resumable where this machine can."""
    return ContentHash(algorithm, state) if CAN_RESUME else _WholeHash(algorithm, state)


def resumed(state: bytes, digest: Digest) -> ContentHash | None:
    """The hash that had this `state` at `digest`; None if it cannot be taken up here, such as a state from another kind of machine."""
    if not CAN_RESUME or len(state) != _CONTEXT_BYTES[algorithm_of(digest)]:
        return None
    taken_up = ContentHash(algorithm_of(digest), state)
    return taken_up if taken_up.digest() == digest else None


def hash_pieces(pieces: Iterable[bytes], algorithm: str) -> Digest:
    """Hash a content given piece by piece; blocking."""
    whole = content_hash(algorithm)
    for piece in pieces:
        whole.update(piece)
    return whole.digest()
