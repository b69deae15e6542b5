"""Checks of what answers: reachable, the right program, ready, trusted, asking for credentials in the right way."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from holdfast.doctor.case import Case
from holdfast.doctor.certificates import ELSEWHERE, judged, refused
from holdfast.doctor.findings import Check, Finding, advice, ok, problem, skipped
from holdfast.doctor.reach import End, Reply, Unreached
from holdfast.doctor.trust import first_certificate

_UPSTREAM = frozenset({502, 503, 504})


def _answer(case: Case) -> Iterator[Finding]:
    if not case.ends:
        yield skipped("no address is known", "set http.addr to a fixed port, or give --url")
    for end in case.ends:
        if _at_rest(case, end):
            yield skipped(f"no server runs on {end}", "start it and run this again to have it tried as clients use it")
        elif isinstance(end.ping, Unreached):
            yield problem(f"{end}: {end.ping}", end.ping.remedy)
        else:
            yield from _spoken(case, end, end.ping)


def _at_rest(case: Case, end: End) -> bool:
    """Whether an address does not answer because the configured server does not run."""
    if isinstance(end.ping, Unreached):
        return case.stopped and end.ping.refused
    return case.stopped and end.ping.status in _UPSTREAM


def _spoken(case: Case, end: End, reply: Reply) -> Iterator[Finding]:
    if reply.status == 503 and reply.code == "UNAVAILABLE":
        yield skipped(
            f"{end} is not ready: it answers {reply}",
            "wait until it is (/readyz tells how far it is), and run this again",
        )
    elif not end.speaks:
        yield problem(f"{end}/v2/ does not answer as a registry: {reply}", _instead(end, reply))
    elif end.inside and not _ours(case, end):
        yield problem(
            f"another registry than the one that is configured answers on {end}: nobody uses {case.root} at the moment",
            "stop the other one (registry:2 perhaps), or set another http.addr",
        )
    else:
        yield ok(f"a registry answers on {end}")
        if not end.is_marked(reply):
            yield advice(
                f"{end}: the header Docker-Distribution-Api-Version is missing on answer {reply.status}, which old versions of Docker need",
                "in nginx: add_header Docker-Distribution-Api-Version registry/2.0 always; for answers that nginx gives itself",
            )


def _ours(case: Case, end: End) -> bool:
    """Whether it can be the configured server: that one holds the lock of its directory, unless it cannot write there."""
    return case.holder is not None or case.root is None or end.is_holdfast or _health(end) is not None


def _health(end: End) -> dict[str, Any] | None:
    """What /readyz says, which stands in front of any prefix and asks nobody for a password; None if it says nothing."""
    root = replace(end, url=end.url.removesuffix(end.base), credentials=None)
    report = root.request("GET", "/readyz").json
    return report if isinstance(report, dict) and "write" in report else None


def _instead(end: End, reply: Reply) -> str:
    target = reply.header("Location")
    if 300 <= reply.status < 400:
        return f"it redirects to {target or 'somewhere else'}: use that address, in image names too, or let /v2/ through without redirecting"
    if reply.header("Server").startswith("AirTunes"):
        return (
            "this is AirPlay of macOS, which takes port 5000: switch the AirPlay receiver off or publish another port"
        )
    if reply.status in _UPSTREAM:
        return "a proxy cannot reach the registry: see that it runs, and that the proxy has its right address and scheme (proxy_pass)"
    if reply.status == 400 and b"HTTPS port" in reply.body[:2000]:
        return f"TLS is spoken there: use https://{end.authority}"
    if reply.status == 401:
        return "the header WWW-Authenticate is missing: let it through (in nginx: no proxy_hide_header and no error_page for 401)"
    if reply.status in {403, 429}:
        return "something in front of the registry refuses: allow GET, HEAD, POST, PUT, PATCH and DELETE below /v2/"
    return "something else listens there, or a proxy leads /v2/ elsewhere: in nginx, location /v2/ { proxy_pass http://registry:5000; }"


def _ready(case: Case) -> Iterator[Finding]:
    end = case.inside
    if end is None or isinstance(end.ping, Unreached) or not (end.speaks or end.ping.status == 503):
        return
    report = _health(end)
    if report is None:
        yield skipped(f"{end} says nothing about its health")
    elif report.get("write") is True:
        yield ok("the registry reads and writes")
    elif case.read_only and report.get("read") is True:
        yield ok("the registry serves pulls only, as storage.maintenance.readonly says")
    elif "progress" in report:
        yield skipped("the registry reads the names of what is stored; /readyz tells how far it is")
    else:
        does = "serves pulls only" if report.get("read") else "serves nothing"
        reason = str(report.get("reason", "no reason is given"))[:300]
        yield problem(
            f"the registry {does}: {reason}", "remove the reason; it goes on by itself, unless it was started read-only"
        )


def _trust(case: Case) -> Iterator[Finding]:
    for end in case.ends:
        if isinstance(end.ping, Unreached) or end.trust is None:
            continue
        if end.inside:
            yield from _own(end)
        else:
            yield from _vouched(case, end)


def _own(end: End) -> Iterator[Finding]:
    if end.trust is not None and not end.trust.by:
        yield problem(
            f"{end} shows a certificate that is not the one in {end.pinned}",
            "see in the server's log why it did not take the new one over, or restart it; if something else listens there, stop that",
        )


def _vouched(case: Case, end: End) -> Iterator[Finding]:
    trust = end.trust
    if trust is None or trust.leaf is None:
        return
    if trust.leaf == first_certificate(Path(end.pinned)):
        yield ok(f"{end} shows the configured certificate")  # which the check `certificate` has judged
        return
    found = list(judged(trust.leaf, f"the certificate of {end}", end.host, case.now()))
    if not trust.by and trust.code not in ELSEWHERE:
        found.append(refused(trust.code, trust.refusal, trust.leaf, end.registry, "registry.crt"))
    vouching = "this machine" if trust.by == "this machine" else f"this machine, because of {trust.by}"
    yield from found or [ok(f"the certificate of {end} is trusted by {vouching}")]


def _credentials(case: Case) -> Iterator[Finding]:
    asking = False
    for end in case.ends:
        if not end.speaks or not isinstance(end.ping, Reply):
            continue
        if end.ping.status == 401:
            asking = True
            yield from _challenge(end, end.ping)
            yield from _let_in(case, end)
        elif case.credentials is None and not asking:
            yield ok(f"{end} asks for no password")
        elif asking and not end.inside:
            yield problem(
                f"{end} lets everybody in, though the registry asks for a password: the proxy adds one by itself",
                "remove the fixed Authorization from the proxy (in nginx: proxy_set_header Authorization), unless everybody may push",
            )


def _challenge(end: End, reply: Reply) -> Iterator[Finding]:
    challenge = reply.header("WWW-Authenticate")
    kind = challenge.partition(" ")[0].lower()
    if kind not in {"basic", "bearer"}:
        yield problem(
            f"{end} asks for {challenge[:100] or 'nothing'}, which registry clients do not know",
            "let the registry's own WWW-Authenticate through the proxy, or use Basic there",
        )
    if kind == "bearer":
        yield from _realm(end, challenge)


def _realm(end: End, challenge: str) -> Iterator[Finding]:
    match = re.search(r'realm="([^"]*)"', challenge)
    parts = urlsplit(match[1] if match else "")
    if not parts.scheme or not parts.netloc:
        yield problem(
            f"{end}: the realm of the Bearer challenge is no address: {challenge[:200]}",
            "set it to the token server's https:// address",
        )
    elif end.scheme == "https" and parts.scheme != "https":
        yield problem(
            f"{end} sends clients to {match[1] if match else ''} for a token, without TLS",
            "set the realm to the token server's https:// address",
        )


def _let_in(case: Case, end: End) -> Iterator[Finding]:
    reply = end.authorised
    if case.credentials is None:
        yield skipped(
            f"{end} asks for a password; none was given, so nothing can be pushed or pulled",
            "give --user NAME --password-stdin",
        )
    elif not end.secure:
        yield skipped(
            f"the password was not sent to {end}, whose certificate nobody vouches for",
            "make this machine trust it first, see trust",
        )
    elif isinstance(reply, Unreached):
        yield problem(f"{end}: with a password: {reply}", reply.remedy)
    elif reply.status == 200:
        yield ok(f"{end} lets {case.credentials.user} in")
    elif reply.status == 429:
        yield problem(
            f"{end} takes no passwords at the moment, after too many wrong ones",
            "wait for a while, then try the right one",
        )
    elif case.inside in case.usable and end is not case.inside:
        yield problem(
            f"{end} refuses {case.credentials.user}, whom the registry itself lets in: the proxy does not pass the password on ({reply})",
            "let the header Authorization through: in nginx remove proxy_set_header Authorization, or auth_basic with other accounts",
        )
    else:
        yield problem(
            f"{end} refuses {case.credentials.user}: {reply}",
            "see that user and password are right and have a bcrypt entry in the htpasswd file: holdfast htpasswd -vB FILE USER",
        )


def _preflight(case: Case) -> Iterator[Finding]:
    origin = _origin(case)
    for end in case.ends:
        if not origin or not end.speaks:
            continue
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        }
        reply = end.request("OPTIONS", "/v2/_catalog", headers, authorised=False)
        if not 200 <= reply.status < 300:
            yield problem(
                f"{end} answers the OPTIONS request of a browser with {reply}, so a user interface on {origin} gets nothing",
                "let OPTIONS through the proxy without a password: the registry answers it (in nginx: no auth_basic and no limit_except for OPTIONS)",
            )
        elif not reply.header("Access-Control-Allow-Origin"):
            yield problem(
                f"{end}: the header Access-Control-Allow-Origin gets lost on the way",
                "let the proxy pass it on (in nginx: no proxy_hide_header)",
            )
        elif len(reply.headers.get_all("Access-Control-Allow-Origin") or []) > 1:
            yield problem(
                f"{end}: Access-Control-Allow-Origin is there twice, which browsers refuse",
                "set it in the proxy or in http.headers, not in both",
            )
        else:
            yield ok(f"{end} answers the OPTIONS request of a browser")


def _origin(case: Case) -> str:
    headers = case.settings.http.headers if case.settings else {}
    values = next((v for name, v in headers.items() if name.lower() == "access-control-allow-origin" and v), [""])
    return "https://ui.example.com" if values[0] == "*" else values[0]


CHECKS = (
    Check(
        "answer",
        "GET /v2/ on the registry's own port and, through whatever stands in front, on the address of http.host or --url.",
        (
            "nothing listens, a name that cannot be resolved, a firewall",
            "plain HTTP where clients expect TLS, and the other way round",
            "a web page where JSON belongs, a redirect, a proxy that cannot reach the registry, AirPlay on port 5000",
            "another registry on the port; Docker-Distribution-Api-Version missing on errors",
        ),
        _answer,
    ),
    Check(
        "readiness",
        "/readyz on the registry's own port.",
        ("pushes or pulls that do not work at the moment, with the reason",),
        _ready,
    ),
    Check(
        "trust",
        "The certificate that clients meet, and whether this machine trusts it: by itself, or by certs.d.",
        (
            "expired, not for this name, self-signed, incomplete chain",
            "a renewed certificate that the running server does not show",
        ),
        _trust,
    ),
    Check(
        "credentials",
        "The challenge, and with --user whether the password is accepted at each address.",
        (
            "a proxy that drops Authorization or WWW-Authenticate, or adds a password of its own",
            "a wrong realm: a token server without TLS or without an address",
        ),
        _credentials,
    ),
    Check(
        "preflight",
        "OPTIONS at each address, where http.headers allow a user interface in.",
        ("OPTIONS answered 401 or 405 by a proxy", "CORS headers that are lost or doubled on the way"),
        _preflight,
    ),
)
