"""Checks of uploads that are never closed, so nothing of them stays."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

from holdfast.doctor.case import Case
from holdfast.doctor.findings import Check, Finding, advice, ok, problem, skipped
from holdfast.doctor.reach import HOME, End, Reply, Unreached

MEBIBYTE = 1024 * 1024
SIZES = (8 * MEBIBYTE, 100 * MEBIBYTE, 1024 * MEBIBYTE, 20 * 1024 * MEBIBYTE)
"""Announced lengths of bodies: layers have any of them."""
PATIENCE = 5.0
"""Seconds to wait, at the least, for an answer to a head alone: a busy machine is not a proxy that waits for more."""
CHUNK = 1536 * 1024
"""More than nginx lets through unless told otherwise."""


@dataclass
class Session:
    """An upload that was begun; `location` is the latest one that was told."""

    end: End
    name: str
    location: str

    @property
    def target(self) -> str:
        """Where its chunks go."""
        return self.end.place(self.location)

    def send(self, octets: bytes | Iterator[bytes]) -> Reply:
        """Send a chunk, with an announced length or without."""
        reply = self.end.request("PATCH", self.target, {"Content-Type": "application/octet-stream"}, octets)
        if reply.status == 202:
            self.location = str(reply.headers.get("Location", self.location))
        return reply


class NoUpload(Exception):
    """No upload could be begun; the finding says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.explanation)
        self.finding = finding


@contextmanager
def begun(end: End) -> Iterator[Session]:
    """Begin an upload in a repository that does not exist, and give it up at the end. Raises `NoUpload`, `Unreached`."""
    name = end.scratch()
    reply = end.request("POST", f"/v2/{name}/blobs/uploads/", body=b"")
    location = str(reply.headers.get("Location", ""))
    if reply.status != 202 or not location:
        raise NoUpload(_not_begun(end, reply))
    session = Session(end, name, location)
    try:
        yield session
    finally:
        with suppress(Unreached):
            end.request("DELETE", session.target)


def _not_begun(end: End, reply: Reply) -> Finding:
    if reply.status == 507:
        return problem(f"{end} takes no uploads: {reply}: its disk is full", "make room, see space")
    if reply.status in {401, 403}:
        return problem(
            f"{end} takes no uploads: {reply}",
            "give a user who may push, or let POST, PATCH, PUT and DELETE through the proxy (no limit_except)",
        )
    if reply.status == 405:
        return problem(
            f"{end} takes no uploads: {reply}",
            "it is read-only (storage.maintenance.readonly, a read-only disk), or a proxy refuses POST",
        )
    return problem(
        f"{end} takes no uploads: {reply}", "let POST below /v2/ through the proxy, and look into the registry's log"
    )


def _on_ends(case: Case) -> Iterator[End]:
    """The addresses where something may be sent."""
    return iter(case.usable if case.push and not case.read_only else ())


def _location(case: Case) -> Iterator[Finding]:
    if not case.push:
        yield skipped("nothing was sent, as --no-push asks")
    elif case.read_only:
        yield skipped("nothing was sent, since storage.maintenance.readonly forbids it")
    for end in _on_ends(case):
        try:
            with begun(end) as session:
                yield _judged(case, session)
        except NoUpload as no:
            yield no.finding


def _judged(case: Case, session: Session) -> Finding:
    end, location = session.end, session.location
    parts = urlsplit(location)
    expected = f"{end.base}/v2/{session.name}/"
    configured = case.settings is not None and bool(case.settings.http.host) and not case.settings.http.relativeurls
    remedy = "set http.host to the address that clients use, with its scheme and port, or remove it: Locations are relative then"
    if not configured:
        remedy = "let the proxy pass Location on as it is (in nginx: proxy_redirect off; and no sub_filter)"
    if end.inside and configured and parts.netloc:
        return ok(f"Locations name {parts.scheme}://{parts.netloc}, as http.host says")
    if parts.scheme and parts.scheme != end.scheme:
        return problem(
            f"uploads on {end} are sent to {parts.scheme}://{parts.netloc}: the wrong scheme, so pushes fail", remedy
        )
    if parts.netloc and _authority(parts.netloc, parts.scheme) != (end.host, end.port):
        return problem(f"uploads on {end} are sent to {parts.netloc}: the wrong host or port, so pushes fail", remedy)
    if not parts.path.startswith(expected):
        return problem(
            f"uploads on {end} are sent to {parts.path[:100]}, which is not below {expected[:100]}: the proxy changes paths",
            "pass paths on as they are (in nginx: proxy_pass without a path behind the address), or set http.prefix to the path in front of /v2/",
        )
    status = end.request("GET", session.target)
    if status.status != 204:
        return problem(
            f"an upload on {end} that was just begun is not known there: {status}",
            "lead all requests to one server: servers that share nothing cannot share the load",
        )
    return ok(f"uploads on {end} are sent back to it")


def _authority(netloc: str, scheme: str) -> tuple[str, int]:
    parts = urlsplit(f"//{netloc}")
    try:
        return parts.hostname or "", parts.port or (443 if scheme == "https" else 80)
    except ValueError:
        return netloc, 0


def _bodies(case: Case) -> Iterator[Finding]:
    for end in _on_ends(case):
        try:
            with begun(end) as session:
                yield from _sent(end, session)
                yield _announced(end, session)
        except NoUpload:
            continue  # `location` has told it


def _sent(end: End, session: Session) -> Iterator[Finding]:
    """A chunk with its length, another one without, as Docker sends them, and whether all of it arrived."""
    reply = session.send(bytes(CHUNK))
    if reply.status == 413:
        return  # `_announced` finds the limit
    if reply.status != 202:
        yield problem(
            f"{end} does not take a chunk of {CHUNK} bytes: {reply}",
            "let PATCH through the proxy, and look into its log",
        )
        return
    reply = session.send(iter([b"a" * 1000] * 3))
    if reply.status != 202:
        yield problem(
            f"{end} does not take a body without an announced length ({reply}), which docker push sends",
            "let chunked requests through the proxy (in nginx: proxy_http_version 1.1; and proxy_request_buffering off;)",
        )
    elif reply.header("Range") != f"0-{CHUNK + 3000 - 1}":
        yield problem(
            f"{end} lost a part of what was sent: {reply.header('Range')} has arrived of {CHUNK + 3000} bytes",
            "look into the proxy's log",
        )


def _announced(end: End, session: Session) -> Finding:
    """The largest body that is let through: by announcing some, and sending none of them."""
    for size in (CHUNK, *SIZES):
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size), "Expect": "100-continue"}
        status = end.first_word("PATCH", session.target, headers, PATIENCE)
        if status is None:
            return skipped(
                f"{end} does not say whether it takes bodies of {size // MEBIBYTE or 1} MiB before it has them"
            )
        if status == 413:
            return problem(
                f"{end} refuses bodies of {size // MEBIBYTE or 1} MiB (413): larger layers cannot be pushed",
                "lift the limit in the proxy: nginx: client_max_body_size 0; Traefik: no buffering middleware with maxRequestBodyBytes;"
                " behind Cloudflare's proxy no plan allows any size: use a name that goes around it",
            )
    return ok(f"bodies of any size get through to {end}")


def _buffering(case: Case) -> Iterator[Finding]:
    for end in _on_ends(case):
        if end.inside or not end.is_holdfast:
            continue
        unknown = f"/v2/{HOME}/{uuid4().hex[:12]}/blobs/uploads/{uuid4()}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": "1000"}
        began = time.monotonic()
        end.request("PATCH", unknown, headers, bytes(1000))
        patience = max(PATIENCE, 20 * (time.monotonic() - began))
        if end.first_word("PATCH", unknown, headers, patience) is None:
            yield advice(
                f"{end} keeps each request until it is complete: pushes of large layers take twice as long, and fill the proxy's disk",
                "in nginx: proxy_request_buffering off; and proxy_http_version 1.1;",
            )
        else:
            yield ok(f"{end} passes requests on while they arrive")


def _paths(case: Case) -> Iterator[Finding]:
    """Paths that mean something else once a proxy has decoded or cleaned them."""
    inside = case.inside
    for end in case.usable:
        if inside is None or end is inside or inside not in case.usable:
            continue
        for path in (f"/v2/{HOME}%2Fpaths/tags/list", f"/v2/{HOME}//paths/tags/list"):
            here, there = inside.request("GET", path), end.request("GET", path)
            if (here.status, here.code) != (there.status, there.code):
                yield advice(
                    f"{end} changes paths: {path} is answered {there}, by the registry itself {here}",
                    "pass paths on as they came (in nginx: proxy_pass without a path behind the address, merge_slashes off;)",
                )
                return
        yield ok(f"{end} passes paths on as they came")


CHECKS = (
    Check(
        "location",
        "Where an upload is sent on, at each address; it is begun and given up.",
        (
            "wrong scheme, host or port behind a proxy (http.host), a changed path (http.prefix)",
            "several servers without common storage behind one address; uploads that are refused",
        ),
        _location,
    ),
    Check(
        "bodies",
        "Chunks with and without an announced length, and announcements of up to 20 GiB, at each address; nothing stays.",
        ("a proxy's limit on bodies (413), as nginx has at 1 MiB", "a proxy that takes no chunked requests"),
        _bodies,
    ),
    Check(
        "streaming", "Whether a proxy passes a request on before it is complete.", ("request buffering",), _buffering
    ),
    Check(
        "paths",
        "Encoded and doubled slashes, through the proxy and without it.",
        ("a proxy that decodes or cleans paths",),
        _paths,
    ),
)
