"""Checks of who uses the root directory, and with which rights."""

import os
from collections.abc import Iterator
from pathlib import Path

from holdfast.app.mounts import in_container
from holdfast.doctor.case import Case
from holdfast.doctor.findings import Check, Finding, advice, ok, problem
from holdfast.doctor.identity import Identity
from holdfast.doctor.mounts import existing
from holdfast.metadata.sqlite import FILE
from holdfast.storage import paths

UNPRIVILEGED = 10001
"""The user that is proposed where the directory belongs to root."""


def _servers(case: Case) -> Iterator[Finding]:
    if case.settings is None or case.root is None:
        return
    note = "replicas need no common http.secret: uploads are kept in the database, but one server at a time uses a directory"
    if case.holder is None:
        yield ok(f"no other server uses {case.root}; {note}")
    elif case.holder.addr in {case.settings.http.addr, ""}:
        yield ok(f"{case.root} is used by {case.holder.words}; {note}")
    else:
        yield problem(
            f"{case.root} is used by another server, {case.holder.words}, and not by one on {case.settings.http.addr}:"
            " two servers cannot share a directory",
            "stop one of them, or give each its own storage.filesystem.rootdirectory; for more speed set server.workers, not more servers",
        )


def _rights(case: Case) -> Iterator[Finding]:
    if case.settings is None:
        return
    user = case.server
    found = [*_directories(case, user), *_files(case, user)]
    yield from found or [ok(f"user {user.uid} may read and write all that the registry needs")]


def _directories(case: Case, user: Identity) -> Iterator[Finding]:
    if case.root is None or case.metadata is None:
        return
    tree = case.root / paths.ROOT
    parts = [tree / "blobs", tree / "repositories", tree / paths.OWN, tree / paths.OWN / "server.lock"]
    for path in (
        case.root,
        tree,
        case.metadata,
        *parts,
        *(case.metadata / f"{FILE}{tail}" for tail in ("", "-wal", "-shm")),
    ):
        place = existing(path)
        wanted = os.R_OK | os.W_OK | (os.X_OK if place.is_dir() else 0)
        if place != path and (not place.is_dir() or path not in (case.root, case.metadata)):
            continue
        if not user.may(place, wanted):
            yield problem(
                f"user {user.uid}, as which the registry runs, may not write to {place}"
                + (" (the disk is read-only)" if _read_only(place) else ""),
                _owner(case.root, case.metadata, user) if not _read_only(place) else "mount it for writing",
            )
            return


def _read_only(place: Path) -> bool:
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def _owner(root: Path, metadata: Path, user: Identity) -> str:
    outside = "" if metadata.is_relative_to(root) else f" {metadata}"
    return f"chown -R {user.uid}:{user.gid} {root}{outside} (on the host: the directory that is mounted there)"


def _files(case: Case, user: Identity) -> Iterator[Finding]:
    if case.settings is None:
        return
    tls, htpasswd = case.settings.http.tls, case.settings.auth.htpasswd
    wanted = {
        "http.tls.certificate": tls.certificate,
        "http.tls.key": tls.key,
        "auth.htpasswd.path": htpasswd.path if htpasswd else "",
    }
    for setting, name in wanted.items():
        path = Path(name)
        if name and os.path.lexists(path) and not user.may(path, os.R_OK):
            yield problem(
                f"user {user.uid}, as which the registry runs, may not read {path} ({setting})",
                f"chown {user.uid} {path}, and let that user into each directory above it (chmod o+x)",
            )


def _root(case: Case) -> Iterator[Finding]:
    if case.settings is None:
        return
    user = case.server
    if user.uid != 0:
        yield ok(f"the registry runs as user {user.uid}, not as root")
    elif in_container():
        yield advice(
            "the registry runs as root in its container, which works and gives it more rights than it needs",
            unprivileged(case),
        )
    else:
        yield ok(
            "the registry runs as root",
            "a user of its own is safer: the systemd unit and the container image can both do that",
        )


def unprivileged(case: Case) -> str:
    """The change that lets a container run as somebody else than root, to copy."""
    owner = os.stat(existing(case.root)).st_uid if case.root else 0
    uid = owner or UNPRIVILEGED
    places = [str(path) for path in (case.root, case.metadata) if path]
    if case.root and case.metadata and case.metadata.is_relative_to(case.root):
        places = places[:1]
    return (
        f"chown -R {uid}:{uid} {' '.join(places)}; then docker run --user {uid}:{uid} ..., or in Kubernetes"
        f" securityContext: {{runAsNonRoot: true, runAsUser: {uid}, runAsGroup: {uid}, fsGroup: {uid}}};"
        f" key and htpasswd file have to be readable for user {uid}"
    )


CHECKS = (
    Check(
        "servers",
        "The lock of the root directory.",
        ("several servers on one directory", "a missing http.secret with replicas, which is not needed here"),
        _servers,
    ),
    Check(
        "rights",
        "Directories, database, certificate, key and htpasswd file, with the rights of the user who serves.",
        ("a directory that another user owns, a read-only disk", "a key or htpasswd file that cannot be read"),
        _rights,
    ),
    Check(
        "user",
        "The user as which the registry runs.",
        ("root in a container: prints the change to another user for Docker and Kubernetes",),
        _root,
    ),
)
