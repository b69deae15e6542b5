"""Names of repositories and tags. (distribution-spec 1.1 "Pulling manifests", Docker Registry V2 "Overview")"""

import re
from uuid import UUID

from holdfast.model.digests import is_digest, parse_digest
from holdfast.model.errors import BLOB_UPLOAD_UNKNOWN, MANIFEST_UNKNOWN, NAME_INVALID, TAG_INVALID, Failure

LONGEST_REPOSITORY = 255
"""Characters; clients refuse longer names together with the host."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def is_repository(text: str) -> bool:
    """Tell whether `text` may name a repository; the length is looked at first, so that no input is costly."""
    return len(text) <= LONGEST_REPOSITORY and _REPOSITORY.fullmatch(text) is not None


def check_repository(text: str) -> str:
    """Give `text` back. Raises `Failure(NAME_INVALID)`."""
    if not is_repository(text):
        raise Failure(NAME_INVALID, detail={"name": text[: LONGEST_REPOSITORY + 1]})
    return text


def is_tag(text: str) -> bool:
    """Tell whether `text` may be a tag."""
    return _TAG.fullmatch(text) is not None


def check_tag(text: str) -> str:
    """Give `text` back. Raises `Failure(TAG_INVALID)`: for writing."""
    if not is_tag(text):
        raise Failure(TAG_INVALID, detail={"tag": text[:200]})
    return text


def check_reference(text: str) -> str:
    """Give `text`, a tag or a digest, back: for reading. A bad digest is 400, a bad tag is simply not there (404)."""
    if is_tag(text) or is_digest(text):
        return text
    if ":" in text:
        return parse_digest(text)
    raise Failure(MANIFEST_UNKNOWN, detail={"reference": text[:200]})


def check_upload(text: str) -> str:
    """Give an upload's id (a UUID) back in its usual form. Raises `Failure(BLOB_UPLOAD_UNKNOWN)`."""
    try:
        return str(UUID(text))
    except ValueError:
        raise Failure(BLOB_UPLOAD_UNKNOWN, detail={"upload": text[:200]}) from None
