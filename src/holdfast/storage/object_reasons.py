"""Why a store did not answer as it should, read from obstore's texts, in words for whoever wrote the settings. Nothing of a text is passed on."""

import re

_UNREACHABLE = (
    ("dns error", "the name of the store cannot be resolved: correct the address, or DNS"),
    ("ConnectionRefused", "nothing listens there: start the store, or correct host and port"),
    ("InvalidContentType", "it speaks plain HTTP, not TLS: write http:// before the address, if it shall stay so"),
    ("CorruptMessage", "it speaks plain HTTP, not TLS: write http:// before the address, if it shall stay so"),
    (
        "InvalidCertificate",
        "its certificate is not trusted here, or is for another name: add the authority to those of this machine (for a process, SSL_CERT_FILE"
        " names a file of them), or correct the address",
    ),
    ("ConnectionReset", "it closed the connection: if it speaks TLS, write https:// before the address"),
    ("IncompleteMessage", "what listens there does not speak HTTP, or ended: correct host and port"),
    ("Parse(", "what listens there does not speak HTTP: correct host and port"),
    ("TimedOut", "it did not answer in time"),
    ("Timeout", "it did not answer in time"),
)
"""What stands in the text of an error, and what it means; the first that is found counts."""

_REGION = re.compile(r"<Region>([a-z0-9-]{1,40})</Region>")
_REGIONS = frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"})


def unreachable(text: str) -> str:
    """Why no answer came."""
    return next((words for sign, words in _UNREACHABLE if sign in text), "the connection failed")


def refused(text: str, status: int, code: str) -> str:
    """What to do about an answer that is no success; empty where nothing is known."""
    if code in _REGIONS or status == 301:
        region = _REGION.search(text)
        return "the region is wrong: " + (f"set it to {region[1]}" if region else "set it to that of the bucket")
    if code == "RequestTimeTooSkewed":
        return "the clock of this machine is wrong: set it (NTP)"
    if not code and 300 <= status < 500:
        return "check the address of the store, and its region"
    return ""
