"""Checks of the settings themselves."""

import ipaddress
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from holdfast.config.address import parse_addr
from holdfast.config.settings import HTTP
from holdfast.doctor.case import Case
from holdfast.doctor.findings import Check, Finding, advice, ok, problem, skipped
from holdfast.doctor.reach import insecure


def _configuration(case: Case) -> Iterator[Finding]:
    for error in case.errors:
        yield problem(error, "correct it; the server does not start before")
    for warning in case.warnings:
        yield advice(warning, "remove it, or correct it as it says; the server logs the same at its start")
    if case.errors or case.warnings:
        return
    if case.loaded is None:
        yield skipped(
            "no configuration was given and there is no registry in ./data, so only the address is looked at",
            "on the registry's own machine, name the configuration file and set the same variables as for the server",
        )
        return
    given = sum(origin != "default" for origin in case.loaded.origins.values())
    yield ok(f"it can be used; {given} settings are given, the others have their defaults")


def _exposure(case: Case) -> Iterator[Finding]:
    if case.settings is None:
        return
    http = case.settings.http
    if _is_private(http):
        yield ok(f"{http.addr} can be reached from this machine only")
        return
    protected = http.tls.certificate or (case.outside is not None and case.outside.scheme == "https")
    if not protected:
        port = parse_addr(http.addr)[1]
        registry = case.outside.registry if case.outside else f"{socket.gethostname()}:{port}"
        yield advice(
            f"plain HTTP on {http.addr}: whoever is on the way reads passwords and images, and clients on other machines refuse it",
            "make a certificate (holdfast certificate NAME) and set http.tls, or put a TLS proxy in front and name its address with --url"
            f" or http.host; {insecure(registry)}",
        )
    if case.settings.auth.htpasswd is None and not _proxy_asks(case):
        yield advice(
            f"no accounts: whoever reaches {http.addr} may push and overwrite",
            "set auth.htpasswd.path to a file made with: holdfast htpasswd -Bbn USER PASSWORD",
        )
    elif protected:
        yield ok("passwords are asked for, and travel encrypted")


def _is_private(http: HTTP) -> bool:
    if http.net == "unix":
        return True
    host, _ = parse_addr(http.addr)
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _proxy_asks(case: Case) -> bool:
    return case.outside is not None and getattr(case.outside.ping, "status", 0) == 401


def _browsers(case: Case) -> Iterator[Finding]:
    if case.settings is None:
        return
    headers = {name.lower(): [v.strip() for v in values] for name, values in case.settings.http.headers.items()}
    origins = headers.get("access-control-allow-origin", [])
    if not origins:
        yield ok("no user interface on another origin is allowed in (http.headers has no Access-Control-Allow-Origin)")
        return
    found = [*_origins(origins), *_allowed(case, headers, origins)]
    yield from found or [ok(f"a user interface at {' '.join(origins)} is allowed in")]


def _origins(origins: list[str]) -> Iterator[Finding]:
    key = "http.headers.Access-Control-Allow-Origin"
    if len(origins) > 1 or "," in origins[0] or " " in origins[0]:
        yield problem(f"{key} names several origins, which browsers refuse", "give exactly one, or ['*']")
        return
    parts = urlsplit(origins[0])
    if origins[0] != "*" and (not parts.scheme or not parts.netloc or parts.path or parts.query):
        yield problem(
            f"{key} is {origins[0]}, which no browser takes for its origin",
            "write scheme, host and port as the browser's address line has them, without a slash at the end: ['https://ui.example.com']",
        )


def _allowed(case: Case, headers: dict[str, list[str]], origins: list[str]) -> Iterator[Finding]:
    credentials = [value.lower() for value in headers.get("access-control-allow-credentials", [])]
    if origins == ["*"] and "true" in credentials:
        yield problem(
            "browsers refuse Access-Control-Allow-Credentials: true together with the origin *",
            "name the origin of the user interface in http.headers.Access-Control-Allow-Origin",
        )
    accepted = _words(headers.get("access-control-allow-headers", []))
    if case.settings and case.settings.auth.htpasswd and not accepted & {"authorization"}:
        yield problem(
            "a user interface cannot sign in: Access-Control-Allow-Headers does not name Authorization",
            "set http.headers.Access-Control-Allow-Headers: ['Authorization', 'Accept', 'Cache-Control']",
        )
    methods = _words(headers.get("access-control-allow-methods", []))
    if case.settings and "delete" in methods and not case.settings.storage.delete.enabled:
        yield advice(
            "user interfaces are allowed to send DELETE, but deleting is switched off: they will show 405 UNSUPPORTED",
            "set storage.delete.enabled: true (REGISTRY_STORAGE_DELETE_ENABLED=true), or take DELETE out of http.headers",
        )
    if "docker-content-digest" not in _words(headers.get("access-control-expose-headers", [])):
        yield advice(
            "user interfaces cannot read digests, which deleting needs: Access-Control-Expose-Headers does not name them",
            "set http.headers.Access-Control-Expose-Headers: ['Docker-Content-Digest']",
        )


def _words(values: list[str]) -> set[str]:
    return {word.strip().lower() for value in values for word in value.split(",")}


def _deleting(case: Case) -> Iterator[Finding]:
    if case.settings is None:
        return
    if case.settings.storage.delete.enabled:
        yield ok(
            "tags, manifests and repositories can be deleted; their bytes are given back by holdfast garbage-collect"
        )
    else:
        yield ok(
            "deleting is switched off, as in registry:2: DELETE is answered 405 UNSUPPORTED",
            "to allow it, set storage.delete.enabled: true (REGISTRY_STORAGE_DELETE_ENABLED=true)",
        )


CHECKS = (
    Check(
        "configuration",
        "The file and the variables, as the server reads them.",
        (
            "settings that stop the start, with file and line",
            "keys that have no effect, misspelt keys and variables",
            "variables that Kubernetes injects for a service called registry",
        ),
        _configuration,
    ),
    Check(
        "exposure",
        "Who can reach the address, whether passwords travel encrypted, whether there are accounts.",
        ("plain HTTP on an address that other machines reach", "a registry that everybody may push to"),
        _exposure,
    ),
    Check(
        "browsers",
        "The CORS headers for user interfaces on another origin.",
        (
            "an origin with a path or a slash at its end, or several origins",
            "the origin * together with credentials",
            "signing in, digests or deleting not possible from the user interface",
        ),
        _browsers,
    ),
    Check("deleting", "Whether deleting is possible.", ("deleting is expected, but switched off",), _deleting),
)
