"""Blobs over HTTP. (distribution-spec 1.1 end-2, end-10)"""

from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

from holdfast.api.services import Services
from holdfast.api.wire import PIECE, Answer, Header, Request, encoded
from holdfast.metadata.port import DatabaseUnavailable
from holdfast.model.digests import parse_digest
from holdfast.model.media_types import OCTETS
from holdfast.model.ranges import Span, parse_range
from holdfast.storage.port import BlobReader

IMMUTABLE = (b"cache-control", b"private, max-age=31536000, immutable")

INERT = (b"content-security-policy", b"default-src 'none'; sandbox")
"""Content is whatever somebody pushed, of whatever media type: a browser must not run it as part of this site."""


async def pull(services: Services, request: Request) -> Answer:
    """The blob, a part of it, or parts of it."""
    digest = parse_digest(request.reference)
    if request.method == "HEAD":  # asked before a push, which then leaves the blob out
        with suppress(DatabaseUnavailable):  # what may still be pulled, the next line knows
            await services.blobs.keep(request.repository, digest)
    found = await services.pulls.blob(request.user, request.repository, digest)
    if request.method == "GET" and services.redirect and (url := await services.blobs.url(found)):
        return _elsewhere(request, digest, url)
    look = services.blobs.measure if request.method == "HEAD" else services.blobs.open
    reader = await look(request.repository, digest, found)
    try:
        return _content(request, reader, digest)
    except BaseException:
        reader.close()
        raise


async def delete(services: Services, request: Request) -> Answer:
    """Take the blob from the repository."""
    await services.blobs.delete(request.repository, parse_digest(request.reference))
    return Answer(202)


def same_content(request: Request, digest: str) -> bool:
    """Tell whether If-None-Match names what the client would get; old clients leave the quotes out."""
    known = request.text_header(b"if-none-match")
    return bool(known) and any(part.strip().removeprefix("W/").strip('"') in {digest, "*"} for part in known.split(","))


def _elsewhere(request: Request, digest: str, url: str) -> Answer:
    """Send the client to the store, ranges and all. The address is good for a while only, and lets in whoever has it."""
    headers = [encoded("Docker-Content-Digest", digest), encoded("ETag", f'"{digest}"')]
    if same_content(request, digest):
        return Answer(304, [*headers, IMMUTABLE])
    return Answer(307, [*headers, encoded("Location", url), (b"cache-control", b"no-store")])


def _content(request: Request, reader: BlobReader, digest: str) -> Answer:
    etag = f'"{digest}"'
    headers = [
        encoded("Docker-Content-Digest", digest),
        encoded("ETag", etag),
        (b"accept-ranges", b"bytes"),
        IMMUTABLE,
        INERT,
    ]
    if same_content(request, digest):
        reader.close()
        return Answer(304, headers)
    spans = None
    wanted = request.text_header(b"range")
    if wanted and request.text_header(b"if-range") in {"", etag, digest}:
        spans = parse_range(wanted, reader.size)
    if spans is None:
        return _stream(200, headers, reader, Span(0, reader.size - 1))
    if len(spans) == 1:
        headers.append(encoded("Content-Range", _content_range(spans[0], reader.size)))
        return _stream(206, headers, reader, spans[0])
    return _parts(headers, reader, spans)


def _stream(status: int, headers: list[Header], reader: BlobReader, span: Span) -> Answer:
    headers.append(encoded("Content-Type", OCTETS))
    return Answer(status, headers, stream=_pieces(reader, span), length=span.length, close=reader.close)


async def _pieces(reader: BlobReader, span: Span) -> AsyncIterator[bytes]:
    offset = span.start
    while offset <= span.end:
        piece = await reader.read(offset, min(PIECE, span.end + 1 - offset))
        offset += len(piece)
        yield piece


def _content_range(span: Span, size: int) -> str:
    return f"bytes {span.start}-{span.end}/{size}"


def _parts(headers: list[Header], reader: BlobReader, spans: list[Span]) -> Answer:
    """Several ranges, as multipart/byteranges. (RFC 9110 section 14.6)"""
    boundary = uuid4().hex
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {OCTETS}\r\nContent-Range: {_content_range(span, reader.size)}\r\n\r\n".encode()
        for span in spans
    ]
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers.append(encoded("Content-Type", f"multipart/byteranges; boundary={boundary}"))
    length = sum(map(len, heads)) + sum(span.length for span in spans) + len(tail)

    async def stream() -> AsyncIterator[bytes]:
        for head, span in zip(heads, spans, strict=True):
            yield head
            async for piece in _pieces(reader, span):
                yield piece
        yield tail

    return Answer(206, headers, stream=stream(), length=length, close=reader.close)
