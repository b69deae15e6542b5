"""Reading manifests: what one is, and what it refers to. (image-spec 1.1 "Image Manifest", "Image Index"; Docker manifest v2)

Only the fields named here are decoded; the rest of a manifest is skipped over without making objects of it, so a hostile
manifest costs no more memory than its own length a few times.
"""

import re
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from holdfast.model.digests import Digest, is_digest
from holdfast.model.errors import MANIFEST_INVALID, Failure
from holdfast.model.media_types import (
    IMAGES,
    INDEXES,
    OCI_IMAGE,
    OCI_INDEX,
    SCHEMA_1,
    is_foreign_layer,
)
from holdfast.model.rules import LENIENT, Rules, URLRules, may_lie_elsewhere

LARGEST = 4 * 1024 * 1024
"""The most bytes that a manifest may have; clients refuse to read more."""

MOST_REFERENCES = 100_000
"""The most descriptors in one manifest: no real one comes near, and 4 MiB hold no more of full length."""


class Descriptor(Struct, frozen=True):
    """The parts of a descriptor that the registry looks at."""

    digest: str
    size: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    mediaType: str = ""  # noqa: N815 - the field's name in the format
    urls: list[str] | None = None
    platform: msgspec.Raw = msgspec.Raw()


class _Body(Struct, frozen=True):
    schemaVersion: int | None = None  # noqa: N815
    mediaType: str = ""  # noqa: N815
    artifactType: str = ""  # noqa: N815
    config: Descriptor | None = None
    layers: list[Descriptor] | msgspec.UnsetType | None = msgspec.UNSET
    blobs: list[Descriptor] | None = None
    manifests: list[Descriptor] | msgspec.UnsetType | None = msgspec.UNSET
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None
    fsLayers: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


@dataclass(frozen=True, slots=True)
class Reference:
    """Something that a manifest refers to.

    `kind` is `config`, `layer`, `blob`, `manifest` or `subject`; `required`: a push is refused while the repository lacks it.
    """

    digest: Digest
    kind: str
    required: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the registry knows of a manifest's bytes."""

    media_type: str
    artifact_type: str
    subject: Digest | None
    references: tuple[Reference, ...]
    annotations: dict[str, str]
    typed: bool
    """Whether the media type can be told from the bytes alone."""


_decoder = msgspec.json.Decoder(_Body)
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")


def parse_manifest(content: bytes, content_type: str, rules: Rules = LENIENT) -> Manifest:
    """Read a manifest of at most `LARGEST` bytes; `content_type` is what the client said, without parameters, or empty.

    `rules` are what the operator asks of it. Raises `Failure(MANIFEST_INVALID)`, naming the field. Unknown fields and media types are fine.
    """
    if content_type in SCHEMA_1:
        raise _invalid("schema 1 manifests are not supported; push with a newer client")
    body = _decode(content)
    media_type = _media_type(body, content_type)
    if media_type in IMAGES | INDEXES and body.schemaVersion != 2:
        raise _invalid("schemaVersion must be 2")
    if media_type in IMAGES and (body.config is None or body.layers is msgspec.UNSET):
        raise _invalid("an image manifest needs the fields config and layers")
    if media_type in INDEXES and body.manifests is msgspec.UNSET:
        raise _invalid("an index needs the field manifests")
    if rules.urls:
        _check_urls(body, rules.urls)
    artifact_type = body.artifactType or (body.config.mediaType if body.config and media_type in IMAGES else "")
    return Manifest(
        media_type=media_type,
        artifact_type=artifact_type,
        subject=_digest(body.subject.digest, "subject") if body.subject else None,
        references=_references(body, rules, strict=media_type in IMAGES),
        annotations=body.annotations or {},
        typed=body.mediaType == media_type or _guess(body) == media_type,
    )


def _decode(content: bytes) -> _Body:
    if not content:
        raise _invalid("the body is empty")
    try:
        body = _decoder.decode(content)
    except RecursionError:
        raise _invalid("the JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(str(error)) from None
    if body.schemaVersion == 1 or body.fsLayers is not msgspec.UNSET:
        raise _invalid("schema 1 manifests are not supported; push with a newer client")
    if body.manifests is not msgspec.UNSET and (body.layers is not msgspec.UNSET or body.config):
        raise _invalid("a manifest has either manifests or config and layers, not both")
    return body


def _media_type(body: _Body, content_type: str) -> str:
    if body.mediaType and content_type and body.mediaType.lower() != content_type:
        raise _invalid(f"mediaType is {body.mediaType[:200]!r} but the Content-Type is {content_type[:200]!r}")
    media_type = content_type or body.mediaType or _guess(body)
    if not media_type:
        raise _invalid("send the manifest's media type as Content-Type")
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise _invalid("the media type must be a type and a subtype of at most 127 characters each")
    return media_type


def _guess(body: _Body) -> str:
    if body.manifests is not msgspec.UNSET:
        return OCI_INDEX
    if body.config and body.layers is not msgspec.UNSET:
        return OCI_IMAGE
    return ""


def _check_urls(body: _Body, rules: URLRules) -> None:
    for layer in body.layers or ():
        if may_lie_elsewhere(layer.mediaType):
            for url in layer.urls or ():
                if objection := rules.objection(url):
                    raise _invalid(f"the URL {url[:200]!r} of layer {layer.digest[:80]} is not allowed: {objection}")


def _references(body: _Body, rules: Rules, *, strict: bool) -> tuple[Reference, ...]:
    layers = body.layers or ()
    found = [_reference(body.config, "config", strict=strict)] if body.config else []
    found += [_reference(item, "layer", strict=strict and not is_foreign_layer(item.mediaType)) for item in layers]
    found += [_reference(item, "blob", strict=False) for item in body.blobs or ()]
    found += [
        Reference(_digest(item.digest, "manifest"), "manifest", rules.requires(bytes(item.platform)))
        for item in body.manifests or ()
    ]
    if body.subject:
        found.append(_reference(body.subject, "subject", strict=False))
    if len(found) > MOST_REFERENCES:
        raise _invalid(f"more than {MOST_REFERENCES} descriptors")
    return tuple(found)


def _reference(descriptor: Descriptor, kind: str, *, strict: bool) -> Reference:
    return Reference(_digest(descriptor.digest, kind), kind, strict and not descriptor.urls)


def _digest(text: str, kind: str) -> Digest:
    if not is_digest(text):
        raise _invalid(f"{kind}: {text[:200]!r} is not a digest that is supported here")
    return Digest(text)


def _invalid(why: str) -> Failure:
    return Failure(MANIFEST_INVALID, f"manifest invalid: {why}")
