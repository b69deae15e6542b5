"""What holds for every answer of the registry, whatever was asked."""

import re

from harness.http import Response

CODES = {
    *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN"),
    *("MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED"),
    *("UNSUPPORTED", "TOOMANYREQUESTS"),
}
UNSHAPED = {"UNKNOWN", "UNAVAILABLE"}


def every_answer(response: Response) -> None:
    """Raise `AssertionError` when an answer under /v2 breaks a rule that all of them keep."""
    headers = response.headers
    assert headers["Docker-Distribution-API-Version"] == "registry/2.0", response
    assert response.status < 500, response
    assert response.status == 304 or not 300 <= response.status < 400, response
    assert "Content-Encoding" not in headers, response
    if response.status not in {204, 304}:
        assert headers["Content-Length"].isdecimal(), response
    if response.status in {201, 202}:
        assert headers["Content-Length"] == "0", response
    if response.status == 405:
        assert headers["Allow"], response
    if response.status >= 400 and response.method != "HEAD":
        error_body(response)
    if "Location" in headers:
        location(headers["Location"], response)
    if "Docker-Upload-UUID" in headers:
        assert headers["Docker-Upload-UUID"] in headers["Location"], response
        assert re.fullmatch(r"0-\d+", headers["Range"]), response


def error_body(response: Response) -> None:
    """Raise when an error is not told in the protocol's form (distribution-spec 1.1 "Error Codes")."""
    assert response.headers["Content-Type"].partition(";")[0] == "application/json", response
    errors = response.json()["errors"]
    assert errors, response
    for error in errors:
        assert error["code"] in (CODES | UNSHAPED if response.status == 408 else CODES), response
        assert isinstance(error["message"], str), response
        assert error["message"], response
        assert set(error) <= {"code", "message", "detail"}, response


def location(value: str, response: Response) -> None:
    """Raise when a Location is not path-absolute, or its path has to be decoded to be understood."""
    assert value.startswith("/v2/"), response
    assert "%" not in value.partition("?")[0], response
