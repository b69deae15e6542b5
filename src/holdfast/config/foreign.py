"""The keys of registry:2 and registry:3 that have no setting here, and what is done about each.

A file or variable that names one is understood, never a surprise: it is accepted with a line saying that it has no
effect, or, where ignoring it would be unsafe, it stops the start.
"""

from dataclasses import dataclass
from typing import Literal

from holdfast.config.tree import Branch, Entry, Leaf, Series


@dataclass(frozen=True)
class Foreign:
    """What is said about a key.

    `harmless` are values (lower case) that ask for what happens anyway; `switch` is the name below it without which the
    rest asks for nothing.
    """

    verdict: Literal["idle", "later", "stop"]
    words: str
    harmless: frozenset[str] = frozenset()
    switch: str = ""


def _idle(words: str, *harmless: str) -> Foreign:
    """It has no meaning here and never will have."""
    return Foreign("idle", words, frozenset(harmless))


def _later(words: str, *harmless: str, switch: str = "") -> Foreign:
    """It is not built yet, and doing without it is safe."""
    return Foreign("later", words, frozenset(harmless), switch)


def _stop(words: str, *harmless: str, switch: str = "") -> Foreign:
    """It is not built, and doing without it would serve something else than what was asked for."""
    return Foreign("stop", words, frozenset(harmless), switch)


_OFF = ("false", "no", "off")
_ON = ("true", "yes", "on")


VERDICTS = {"idle": "accepted, without effect", "later": "accepted, without effect yet", "stop": "stops the start"}
"""What happens with a key, in words."""

FOREIGN: dict[str, Foreign] = {
    "loglevel": _idle("write log.level in its place"),
    "log.hooks": _later("no mail is sent for log lines"),
    "log.reportcaller": _idle("log lines name no line of Go code", *_OFF),
    "storage.swift": _stop("this storage driver is not available; Swift speaks S3, use s3 with regionendpoint"),
    "storage.oss": _stop("this storage driver is not available; OSS speaks S3, use s3 with regionendpoint"),
    "storage.cache": _idle("metadata is kept in a database and needs no cache"),
    "storage.filesystem.maxthreads": _idle("file access needs no limit of threads"),
    "auth.none": _idle("no authentication is what happens without auth"),
    "auth.token": _stop("token authentication is not available; use htpasswd"),
    "auth.silly": _stop("the silly authentication of registry:2 is a test device that lets everybody in; use htpasswd"),
    "middleware": _stop("middleware is not available"),
    "reporting": _idle("nothing is reported to outside services"),
    "http.debug.addr": _idle("there is no debug server; health is answered at /healthz and /readyz"),
    "http.debug.prometheus": _later("no metrics are published", *_OFF, switch="enabled"),
    "http.http2": _idle("there is no HTTP/2: registry clients are quicker without", *_ON),
    "http.h2c": _idle("there is no HTTP/2", *_OFF),
    "http.tls.clientcas": _stop("client certificates are not checked"),
    "http.tls.clientauth": _stop("client certificates are not checked"),
    "http.tls.letsencrypt": _stop("certificates are not fetched; give http.tls.certificate and http.tls.key"),
    "http.tls.ciphersuites": _idle("the cipher suites are those that the TLS library holds for safe"),
    "notifications": _later("no notifications are sent", *_OFF),
    "redis": _idle("redis is not used"),
    "proxy": _stop("the registry cannot mirror another one, and would accept pushes in its place", switch="remoteurl"),
    "compatibility": _idle("schema 1 manifests are not accepted", *_OFF),
    "policy": _idle("classes of repositories are not used"),
}


def is_foreign(key: str) -> bool:
    """Whether the key is one of registry:2's without a setting here, lies below one, or holds one."""
    return any(key == known or key.startswith(known + ".") or known.startswith(key + ".") for known in FOREIGN)


def foreign_names(section: str) -> list[str]:
    """The names directly in a section, which is empty for the whole file, that registry:2 has beside the settings."""
    start = f"{section}." if section else ""
    return sorted({key.removeprefix(start).partition(".")[0] for key in FOREIGN if key.startswith(start)})


def asks_for_it(foreign: Foreign, given: Entry) -> bool:
    """Whether what was given asks for something that does not happen anyway; what is `disabled` asks for nothing."""
    if isinstance(given, Leaf):
        return _text(given) not in foreign.harmless | {""}
    if isinstance(given, Series):
        return any(asks_for_it(foreign, item) for item in given.items)
    if foreign.switch and not _is_on(given.children.get(foreign.switch)):
        return False
    return not _is_on(given.children.get("disabled")) and any(
        asks_for_it(foreign, child) for child in given.children.values()
    )


def _is_on(given: Entry | None) -> bool:
    return isinstance(given, Branch | Series) or _text(given) not in ("", *_OFF)


def _text(given: Leaf | None) -> str:
    return (given.value or "").lower() if given else ""
