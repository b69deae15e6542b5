"""Rules between settings, and those that a type cannot say."""

import re
from collections.abc import Iterator
from typing import Any

from holdfast.config.address import is_address, parse_addr
from holdfast.config.problems import Findings, found
from holdfast.config.rules_stores import check_metadata, check_stores, unused

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_rules(values: dict[str, Any], origins: dict[str, str], findings: Findings) -> None:
    """Note what contradicts itself in checked values; those of keys that failed are their defaults."""
    http = values["http"]
    problems = [
        *_address(http, origins),
        *_headers(http["headers"], origins),
        *_realm(values["auth"], origins),
        *_tls(http["tls"], origins, findings.failed),
        *_patterns(values["validation"]["manifests"].get("urls", {}), origins),
        *check_stores(values["storage"], origins, findings.failed),
        *check_metadata(values, origins, findings.failed),
    ]
    findings.problems.extend(problems)
    findings.warnings.extend(unused(values, origins))


def _address(http: dict[str, Any], origins: dict[str, str]) -> Iterator[str]:
    addr = f"http.addr ({origins['http.addr']}): found {found(http['addr'])}"
    if http["net"] == "unix":
        if "/" not in http["addr"] or "\0" in http["addr"]:
            yield f"{addr}, expected the path of a socket, such as /run/registry.sock, since http.net is unix"
    else:
        try:
            parse_addr(http["addr"])
        except ValueError as error:
            yield f"{addr}; {error}"
    if not _PREFIX.fullmatch(http["prefix"]):
        yield (
            f"http.prefix ({origins['http.prefix']}): found {found(http['prefix'])}, expected a path such as /registry/"
        )
    if http["host"] and not is_address(http["host"]):
        yield (
            f"http.host ({origins['http.host']}): found {found(http['host'])}, expected an address with its scheme, "
            "such as https://registry.example.com"
        )


def _headers(headers: dict[str, list[str]], origins: dict[str, str]) -> Iterator[str]:
    for name, contents in headers.items():
        origin = origins[f"http.headers.{name}"]
        if not _HEADER_NAME.fullmatch(name):
            yield f"http.headers ({origin}): no header can be called {found(name)}"
        if any(_CONTROL.search(content) for content in contents):
            yield f"http.headers.{name} ({origin}): a header cannot hold control characters"


def _realm(auth: dict[str, Any], origins: dict[str, str]) -> Iterator[str]:
    realm = auth.get("htpasswd", {}).get("realm", "")
    if _CONTROL.search(realm):
        yield (
            f"auth.htpasswd.realm ({origins['auth.htpasswd.realm']}): found {found(realm)}, "
            "expected a text without control characters, since it is sent in a header"
        )


def _tls(tls: dict[str, Any], origins: dict[str, str], failed: set[str]) -> Iterator[str]:
    for name, other in (("certificate", "key"), ("key", "certificate")):
        if tls[name] and not tls[other] and f"http.tls.{other}" not in failed:
            yield f"http.tls.{name} ({origins[f'http.tls.{name}']}): it needs http.tls.{other} beside it"


def _patterns(urls: dict[str, list[str]], origins: dict[str, str]) -> Iterator[str]:
    for name, patterns in urls.items():
        key = f"validation.manifests.urls.{name}"
        for place, pattern in enumerate(patterns):
            try:
                re.compile(pattern)
            except (re.error, OverflowError) as error:
                origin = origins.get(f"{key}.{place}") or origins[key]
                yield f"{key} ({origin}): found {found(pattern)}, which is no regular expression: {error}"
