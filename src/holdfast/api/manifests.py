"""Manifests, tags and referrers over HTTP. (distribution-spec 1.1 end-3, end-7, end-8, end-9, end-12)"""

import msgspec

from holdfast.api.base import json_answer
from holdfast.api.blobs import INERT, same_content
from holdfast.api.services import Services
from holdfast.api.wire import Answer, Request, encoded
from holdfast.metadata.queries.manifests import MOST_REFERRERS, ReferrerRow, Wanted
from holdfast.model.digests import parse_digest
from holdfast.model.manifests import LARGEST
from holdfast.model.media_types import OCI_INDEX, without_parameters
from holdfast.model.names import check_reference, check_tag
from holdfast.model.pagination import next_link, parse_page

LARGEST_LIST = LARGEST - 64 * 1024
"""Bytes of descriptors in one list of referrers; two clients read the first page only, so pages are as long as clients accept."""


async def pull(services: Services, request: Request) -> Answer:
    """The manifest, byte for byte as it was pushed, whatever Accept says."""
    found = await services.pulls.manifest(request.user, request.repository, check_reference(request.reference))
    headers = [
        (b"content-type", found.media_type.encode()),
        (b"docker-content-digest", found.digest.encode()),
        (b"etag", b'"%b"' % found.digest.encode()),
        INERT,
    ]
    if same_content(request, found.digest):
        return Answer(304, headers)
    return Answer(200, headers, found.payload)


async def push(services: Services, request: Request) -> Answer:
    """Keep a manifest under a tag, or under its digest and perhaps tags."""
    reference = parse_digest(request.reference) if ":" in request.reference else check_tag(request.reference)
    payload = await request.body.whole(LARGEST)
    tags = request.queries("tag")
    digest, parsed = await services.manifests.put(
        request.repository,
        reference,
        tags,
        without_parameters(request.text_header(b"content-type")),
        payload,
        request.actor.name,
    )
    location = f"{services.host}/v2/{request.repository}/manifests/{digest}"
    headers = [encoded("Location", location), encoded("Docker-Content-Digest", digest)]
    if parsed.subject:
        headers.append(encoded("OCI-Subject", parsed.subject))
    headers += [encoded("OCI-Tag", tag) for tag in dict.fromkeys(tags)]
    return Answer(201, headers)


async def delete(services: Services, request: Request) -> Answer:
    """Remove a tag, or a manifest with its tags."""
    await services.manifests.delete(request.repository, check_reference(request.reference), request.actor.name)
    return Answer(202)


async def tags(services: Services, request: Request) -> Answer:
    """The repository's tags, page by page."""
    page = parse_page(request.query("n"), request.query("last"), services.limits.tags)
    names = await services.manifests.tags(request.repository, page)
    answer = json_answer({"name": request.repository, "tags": names[: page.limit]})
    if len(names) > page.limit > 0:
        answer.headers.append(
            encoded(
                "Link", next_link(f"{services.prefix}/v2/{request.repository}/tags/list", page, names[page.limit - 1])
            )
        )
    return answer


async def referrers(services: Services, request: Request) -> Answer:
    """The manifests that have this one as their subject; an empty list where nothing is known."""
    subject = parse_digest(request.reference)
    page = parse_page(request.query("n"), request.query("last"), MOST_REFERRERS)
    types = tuple(request.queries("artifactType"))
    wanted = Wanted(subject, types, page, LARGEST_LIST)
    rows, more = await services.manifests.referrers(request.repository, wanted)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [_descriptor(row) for row in rows]}
    answer = Answer(200, [encoded("Content-Type", OCI_INDEX)], msgspec.json.encode(index))
    if types:
        answer.headers.append(encoded("OCI-Filters-Applied", "artifactType"))
    if more and rows:
        filters = [("artifactType", kind) for kind in types]
        path = f"{services.prefix}/v2/{request.repository}/referrers/{subject}"
        answer.headers.append(encoded("Link", next_link(path, page, rows[-1].digest, filters)))
    return answer


def _descriptor(row: ReferrerRow) -> dict[str, object]:
    descriptor: dict[str, object] = {"mediaType": row.media_type, "digest": row.digest, "size": row.size}
    if row.artifact_type:
        descriptor["artifactType"] = row.artifact_type
    if row.annotations != b"{}":
        descriptor["annotations"] = msgspec.Raw(row.annotations)
    return descriptor
