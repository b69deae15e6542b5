"""Uploads over HTTP. (distribution-spec 1.1 end-4a, end-4b, end-5, end-6, end-11, end-13, end-14)"""

from collections.abc import Awaitable
from typing import TypeVar

from holdfast.api.services import Services
from holdfast.api.wire import Answer, Header, Request, encoded
from holdfast.auth.port import Action
from holdfast.model.digests import ALGORITHMS, EMPTY, Digest, parse_digest
from holdfast.model.errors import BLOB_UPLOAD_INVALID, DIGEST_INVALID, Failure
from holdfast.model.names import check_upload
from holdfast.model.ranges import Span, parse_chunk_range, upload_range
from holdfast.registry.uploads import OutOfOrder

T = TypeVar("T")


async def start(services: Services, request: Request) -> Answer:
    """Mount, push in one request, or begin an upload: whichever the parameters ask for and is possible."""
    mount = request.query("mount")
    if mount is not None and await _mounted(services, request, parse_digest(mount)):
        return _created(services, request, parse_digest(mount))
    algorithm = request.query("digest-algorithm")
    if algorithm is not None and algorithm not in ALGORITHMS:
        raise Failure(DIGEST_INVALID, f"the algorithm is not supported; use {' or '.join(ALGORITHMS)}")
    given = request.query("digest")
    if given is not None and mount is None:
        digest = parse_digest(given)
        if await _pushed_at_once(services, request, digest):
            return _created(services, request, digest)
    upload_id = await services.uploads.start(request.repository, request.body.length or 0)
    return Answer(202, _session(services, request, upload_id, 0))


async def _mounted(services: Services, request: Request, digest: Digest) -> bool:
    def may_pull(repository: str) -> bool:
        return services.policy.decide(request.actor, repository, Action.PULL).allowed

    return await services.blobs.mount(request.repository, digest, request.query("from"), may_pull)


async def _pushed_at_once(services: Services, request: Request, digest: Digest) -> bool:
    if digest not in EMPTY and await request.body.is_empty():
        try:
            await services.blobs.keep(request.repository, digest)
        except Failure:
            return False
        return True
    upload_id = await services.uploads.start(request.repository, request.body.length or 0)
    try:
        await services.uploads.finish(request.repository, upload_id, digest, None, request.body)
    except BaseException:
        await services.uploads.forget(request.repository, upload_id)
        raise
    return True


async def status(services: Services, request: Request) -> Answer:
    """How far the upload is; whatever else the Location carries by now."""
    upload_id = check_upload(request.reference)
    size = await services.uploads.status(request.repository, upload_id)
    return Answer(204, _session(services, request, upload_id, size))


async def append(services: Services, request: Request) -> Answer:
    """Add a chunk, or a stream."""
    upload_id = check_upload(request.reference)
    span = _span(request)
    work = services.uploads.append(request.repository, upload_id, span, request.body)
    size = await _in_order(services, request, upload_id, work)
    return Answer(202, _session(services, request, upload_id, size))


async def finish(services: Services, request: Request) -> Answer:
    """Close the upload, with or without a last chunk or the whole content."""
    upload_id = check_upload(request.reference)
    given = request.query("digest")
    if given is None:
        raise Failure(DIGEST_INVALID, "the parameter digest is missing")
    digest = parse_digest(given)
    span = _span(request)
    work = services.uploads.finish(request.repository, upload_id, digest, span, request.body)
    await _in_order(services, request, upload_id, work)
    return _created(services, request, digest)


async def cancel(services: Services, request: Request) -> Answer:
    """Give the upload up."""
    await services.uploads.cancel(request.repository, check_upload(request.reference))
    return Answer(204)


async def _in_order(services: Services, request: Request, upload_id: str, work: Awaitable[T]) -> T:
    try:
        return await work
    except OutOfOrder as failure:
        headers = _session(services, request, upload_id, failure.offset)
        failure.headers += tuple((name.decode(), value.decode()) for name, value in headers)
        raise


def _span(request: Request) -> Span | None:
    header = request.text_header(b"content-range")
    if not header:
        return None
    span = parse_chunk_range(header)
    if span is None:
        raise Failure(BLOB_UPLOAD_INVALID, "Content-Range must be <first>-<last>, such as 0-99")
    return span


def _session(services: Services, request: Request, upload_id: str, size: int) -> list[Header]:
    return [
        encoded("Location", f"{services.host}/v2/{request.repository}/blobs/uploads/{upload_id}"),
        encoded("Range", upload_range(size)),
        encoded("Docker-Upload-UUID", upload_id),
    ]


def _created(services: Services, request: Request, digest: Digest) -> Answer:
    location = f"{services.host}/v2/{request.repository}/blobs/{digest}"
    return Answer(201, [encoded("Location", location), encoded("Docker-Content-Digest", digest)])
