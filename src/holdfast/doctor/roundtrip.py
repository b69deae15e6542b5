"""A real push and pull.

What is pushed is the same few bytes each time, in a repository with a name of its own that is deleted at the end. Where deleting is
switched off nothing is pushed: `location` and `bodies` have tried uploads without closing one, and something that is there
already is pulled.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote, urlsplit

from holdfast.doctor.case import Case
from holdfast.doctor.findings import Check, Finding, advice, ok, problem, skipped
from holdfast.doctor.reach import HOME, MOST_BODY, End, Reply, Unreached

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ACCEPT = ", ".join(
    (
        MANIFEST,
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
BLOB = b"".join(hashlib.sha256(b"holdfast doctor %d" % number).digest() for number in range(128))
"""4 KiB that no compression shortens."""
CONFIG = b"{}"


class _Failed(Exception):
    """A step went wrong; carries the finding."""

    def __init__(self, explanation: str, remedy: str) -> None:
        super().__init__(explanation)
        self.finding = problem(explanation, remedy)


def digest(octets: bytes) -> str:
    """The sha256 digest."""
    return "sha256:" + hashlib.sha256(octets).hexdigest()


def manifest() -> bytes:
    """An image of one layer."""
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(BLOB), "size": len(BLOB)}
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(CONFIG), "size": len(CONFIG)}
    fields = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.holdfast.doctor",
        "config": config,
        "layers": [layer],
    }
    return json.dumps(fields).encode()


def _roundtrip(case: Case) -> Iterator[Finding]:
    for end in case.usable:
        try:
            if case.push and not case.read_only and _deletes(end):
                yield from _pushed_and_pulled(end)
            else:
                yield from _pulled(case, end)
        except _Failed as failed:
            yield failed.finding
        except Unreached as unreached:
            yield problem(f"{end}: pushing and pulling: {unreached}", unreached.remedy)


def _deletes(end: End) -> bool:
    """Whether what is pushed could be deleted again: asked by deleting what is not there."""
    reply = end.request("DELETE", f"/v2/{end.scratch()}/manifests/{digest(b'')}")
    return reply.status == 404 and bool(reply.code)


def _pushed_and_pulled(end: End) -> Iterator[Finding]:
    name = end.scratch()
    try:
        for octets in (BLOB, CONFIG):
            _push_blob(end, name, octets)
        _wanted(
            end.request("PUT", f"/v2/{name}/manifests/try", {"Content-Type": MANIFEST}, manifest()),
            201,
            end,
            "the manifest",
        )
        _pull(end, f"/v2/{name}/manifests/{digest(manifest())}", manifest(), "the manifest")
        _pull(end, f"/v2/{name}/blobs/{digest(BLOB)}", BLOB, "the layer")
        yield ok(f"pushed to {end} and pulled from it: the same bytes")
        yield from _heads(end, name)
        yield from _ranges(end, name)
    finally:
        left = _removed(end, name)
    if left:
        yield advice(f"{end}: what was pushed for trying could not be removed: {left}", f"delete the repository {name}")


def _push_blob(end: End, name: str, octets: bytes) -> None:
    started = _wanted(end.request("POST", f"/v2/{name}/blobs/uploads/", body=b""), 202, end, "the start of an upload")
    target = end.place(str(started.headers.get("Location", "")))
    target += ("&" if "?" in target else "?") + "digest=" + quote(digest(octets), safe="")
    reply = end.request("PUT", target, {"Content-Type": "application/octet-stream"}, octets)
    _wanted(reply, 201, end, "a blob")


def _wanted(reply: Reply, status: int, end: End, what: str) -> Reply:
    if reply.status != status:
        raise _Failed(
            f"{end} refused {what}: {reply}",
            "see what the registry's log says; if it has no such line, a proxy answered",
        )
    return reply


def _pull(end: End, target: str, expected: bytes, what: str) -> None:
    reply = _wanted(_followed(end, target, {"Accept": ACCEPT}), 200, end, f"to give {what} back")
    if reply.body != expected:
        raise _Failed(
            f"{end} gave {what} back with other bytes ({len(reply.body)} in place of {len(expected)})",
            "see that no proxy rewrites answers (in nginx: sub_filter, gunzip); if there is none, look at the disk: holdfast verify",
        )


def _followed(end: End, target: str, headers: dict[str, str]) -> Reply:
    """The answer to GET, from where the registry sends clients for it if it does: without credentials, as clients go there."""
    reply = end.request("GET", target, headers)
    there = urlsplit(reply.header("Location", longest=MOST_BODY))
    if reply.status != 307 or not there.netloc:
        return reply
    store = End(f"{there.scheme}://{there.netloc}", inside=False, trusted=end.trusted, now=end.now, seconds=end.seconds)
    try:
        return store.request("GET", f"{there.path}?{there.query}", headers)
    except Unreached as unreached:
        raise _Failed(
            f"{end} sends clients to {store} for blobs, where {unreached}",
            "let clients reach the store by this name (or set storage.s3.redirectendpoint), or send blobs through the registry:"
            " storage.redirect.disable: true",
        ) from None


def _heads(end: End, name: str) -> Iterator[Finding]:
    for tail, octets in ((f"manifests/{digest(manifest())}", manifest()), (f"blobs/{digest(BLOB)}", BLOB)):
        reply = end.request("HEAD", f"/v2/{name}/{tail}", {"Accept": ACCEPT, "Accept-Encoding": "gzip"})
        told = reply.header("Content-Length"), reply.header("Docker-Content-Digest")
        if reply.status != 200 or told != (str(len(octets)), digest(octets)):
            yield problem(
                f"{end}: HEAD does not tell what is there: {reply.status}, Content-Length {told[0] or 'missing'}, Docker-Content-Digest"
                f" {told[1][:20] or 'missing'}",
                "let HEAD and the answer's headers through the proxy, and do not compress (in nginx: gzip off; no proxy_hide_header)",
            )
            return


def _ranges(end: End, name: str) -> Iterator[Finding]:
    reply = _followed(end, f"/v2/{name}/blobs/{digest(BLOB)}", {"Range": "bytes=100-199"})
    if (reply.status, reply.body) != (206, BLOB[100:200]):
        yield advice(
            f"{end}: a part of a blob was asked for, and answered {reply.status} with {len(reply.body)} bytes: broken downloads begin anew",
            "let the header Range through the proxy (in nginx: no proxy_set_header Range, no proxy_cache for blobs)",
        )


def _removed(end: End, name: str) -> str:
    """Delete everything that was pushed; what could not be, in words."""
    with suppress(Unreached):
        reply = end.request("DELETE", f"/v2/{name}/_holdfast/repository")
        if reply.status not in {202, 204, 404} or not end.is_holdfast:
            end.request("DELETE", f"/v2/{name}/manifests/{digest(manifest())}")
            for octets in (BLOB, CONFIG):
                end.request("DELETE", f"/v2/{name}/blobs/{digest(octets)}")
    try:
        left = end.request("GET", f"/v2/{name}/tags/list")
    except Unreached as unreached:
        return str(unreached)
    tags = left.json.get("tags") if isinstance(left.json, dict) else None
    return f"{name} still has tags" if left.status == 200 and tags else ""


def _pulled(case: Case, end: End) -> Iterator[Finding]:
    why = "nothing was pushed, since deleting is off and it would stay for ever"
    if case.read_only:
        why = "nothing was pushed, since storage.maintenance.readonly forbids it"
    if not case.push:
        why = "nothing was pushed, as --no-push asks"
    found = _something(end)
    if found is None:
        yield skipped(
            f"{end}: {why}; there is no image to pull either", "with storage.delete.enabled: true both are tried"
        )
        return
    name, reply = found
    known = reply.header("Docker-Content-Digest")
    algorithm, _, _ = known.partition(":")
    if algorithm not in {"sha256", "sha512"} or len(reply.body) >= MOST_BODY:
        yield skipped(f"{end}: {why}; {name} has nothing that can be compared")
    elif f"{algorithm}:{hashlib.new(algorithm, reply.body).hexdigest()}" != known:
        yield problem(
            f"{end}: the manifest of {name} came with other bytes than its digest says",
            "see that no proxy rewrites answers; if there is none, look at the disk: holdfast verify",
        )
    else:
        yield ok(f"pulled a manifest of {name} from {end}, and its bytes have its digest; {why}")


def _something(end: End) -> tuple[str, Reply] | None:
    """Some manifest that is there, by a tag."""
    names = end.request("GET", "/v2/_catalog?n=5").json
    for name in (names.get("repositories") if isinstance(names, dict) else None) or []:
        path = f"/v2/{quote(str(name)[:255])}"
        listed = end.request("GET", f"{path}/tags/list?n=1").json
        tags = (listed.get("tags") if isinstance(listed, dict) else None) or []
        if tags:
            reply = end.request("GET", f"{path}/manifests/{quote(str(tags[0])[:128])}", {"Accept": ACCEPT})
            if reply.status == 200:
                return str(name)[:255], reply
    return None


CHECKS = (
    Check(
        "push and pull",
        f"A small image, pushed to a repository of its own below {HOME}/, pulled, compared byte by byte, and deleted, at each address. With"
        " deleting switched off, or --no-push, an image that is there already is pulled in its place.",
        (
            "anything that stands between a push and a pull, or changes bytes on the way",
            "HEAD, Content-Length, Docker-Content-Digest or Range that get lost in a proxy",
        ),
        _roundtrip,
    ),
)
