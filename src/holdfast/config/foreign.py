"""The keys of registry:2 and registry:3 that have no setting here, and what is done about each.

A file or variable that names one is understood, never a surprise: it is accepted with a line saying that it has no
effect, or, where ignoring it would be unsafe, it stops the start.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Foreign:
    """What is said about a key; `harmless` are values (lower case) that ask for what happens anyway."""

    verdict: Literal["idle", "later", "stop"]
    words: str
    harmless: frozenset[str] = frozenset()


def _idle(words: str, *harmless: str) -> Foreign:
    """It has no meaning here and never will have."""
    return Foreign("idle", words, frozenset(harmless))


def _later(words: str, *harmless: str) -> Foreign:
    """It is not built yet, and doing without it is safe."""
    return Foreign("later", words, frozenset(harmless))


def _stop(words: str, *harmless: str) -> Foreign:
    """It is not built, and doing without it would serve something else than what was asked for."""
    return Foreign("stop", words, frozenset(harmless))


_DRIVER = _stop("this storage driver is not available; use filesystem")

FOREIGN: dict[str, Foreign] = {
    "loglevel": _idle("write log.level in its place"),
    "log.hooks": _later("no mail is sent for log lines"),
    "log.reportcaller": _idle("log lines name no line of Go code"),
    "storage.s3": _DRIVER,
    "storage.s3aws": _DRIVER,
    "storage.gcs": _DRIVER,
    "storage.azure": _DRIVER,
    "storage.swift": _DRIVER,
    "storage.oss": _DRIVER,
    "storage.cache": _idle("metadata is kept in a database and needs no cache"),
    "storage.redirect": _idle("blobs are always served by the registry itself"),
    "storage.tag": _idle("tags are looked up in a database, not one by one"),
    "storage.filesystem.maxthreads": _idle("file access needs no limit of threads"),
    "storage.maintenance.uploadpurging": _later("its rules for removing old uploads are not followed"),
    "storage.maintenance.readonly": _stop(
        "read-only maintenance is not available, and accepting pushes in its place would be unsafe",
        "false",
        "no",
        "off",
    ),
    "auth.none": _idle("no authentication is what happens without auth"),
    "auth.token": _stop("token authentication is not available; use htpasswd"),
    "auth.silly": _stop("the silly authentication of registry:2 is a test device that lets everybody in; use htpasswd"),
    "middleware": _stop("middleware is not available"),
    "reporting": _idle("nothing is reported to outside services"),
    "http.net": _stop("only tcp is available", "tcp"),
    "http.prefix": _stop("a path prefix is not available", "/"),
    "http.secret": _idle("uploads are kept in the database, so no secret has to be shared"),
    "http.debug": _later("there is no debug server"),
    "http.http2": _idle("there is no HTTP/2: registry clients are quicker without"),
    "http.h2c": _idle("there is no HTTP/2"),
    "http.tls.clientcas": _stop("client certificates are not checked"),
    "http.tls.clientauth": _stop("client certificates are not checked"),
    "http.tls.letsencrypt": _stop("certificates are not fetched; give http.tls.certificate and http.tls.key"),
    "http.tls.ciphersuites": _idle("the cipher suites are those that the TLS library holds for safe"),
    "notifications": _later("no notifications are sent"),
    "redis": _idle("redis is not used"),
    "health": _later("health is answered at /healthz and /readyz only"),
    "proxy": _stop("the registry cannot mirror another one, and would accept pushes in its place"),
    "compatibility": _idle("schema 1 manifests are not accepted"),
    "validation": _later("its rules for manifests are not followed"),
    "policy": _idle("classes of repositories are not used"),
}


def is_foreign(key: str) -> bool:
    """Whether the key is one of registry:2's without a setting here, lies below one, or holds one."""
    return any(key == known or key.startswith(known + ".") or known.startswith(key + ".") for known in FOREIGN)
