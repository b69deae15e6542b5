"""Requests of S3 that obstore does not know, signed with AWS's signature version 4, one connection each; blocking."""

import hashlib
import hmac
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, urlsplit

from holdfast.storage.port import StorageError, StorageUnavailable

SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class S3Address:
    """Where a bucket is, and static credentials for it.

    `endpoint`: `https://s3.example.com`, without the bucket. `virtual_hosted`: the bucket's name is put before the host's, not into the path.
    `ca_file`: certificates to trust instead of the system's. `verify`: whether certificates are checked.
    """

    endpoint: str
    bucket: str
    region: str
    access_key: str
    secret_key: str
    session_token: str = ""
    virtual_hosted: bool = False
    ca_file: str = ""
    verify: bool = True

    @property
    def host(self) -> str:
        """Host and port as in the header."""
        host = urlsplit(self.endpoint).netloc
        return f"{self.bucket}.{host}" if self.virtual_hosted else host

    def path(self, key: str) -> str:
        """The path of an object, or of the bucket for an empty key."""
        path = (
            f"{'' if self.virtual_hosted else '/' + self.bucket}/{key}"
            if key or self.virtual_hosted
            else f"/{self.bucket}"
        )
        return quote(path, safe="/-_.~")


def request(address: S3Address, method: str, key: str = "", query: Mapping[str, str] | None = None) -> bytes:
    """The body of a successful answer. Raises `FileNotFoundError` for 404, `StorageUnavailable`, `StorageError`."""
    path = address.path(key)
    arguments = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted((query or {}).items())
    )
    connection = _connection(address)
    try:
        headers = _signature(address, method, path, arguments, datetime.now(UTC))
        connection.request(method, f"{path}?{arguments}" if arguments else path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException) as error:
        raise StorageUnavailable(f"{address.endpoint} cannot be reached: {type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status == 404:
        raise FileNotFoundError(key)
    if answer.status >= 500:
        raise StorageUnavailable(f"{address.endpoint} answered {answer.status}")
    if answer.status >= 300:
        raise StorageError(f"{address.endpoint} answered {answer.status} to {method} {path}")
    return body


def _connection(address: S3Address) -> HTTPConnection:
    if urlsplit(address.endpoint).scheme != "https":
        return HTTPConnection(address.host, timeout=SECONDS)
    context = ssl.create_default_context(cafile=address.ca_file or None)
    if not address.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(address.host, timeout=SECONDS, context=context)


def _signature(address: S3Address, method: str, path: str, arguments: str, now: datetime) -> dict[str, str]:
    """The headers that sign a request without a body. (AWS "Signature Version 4")"""
    moment, scope = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}/{address.region}/s3/aws4_request"
    body = hashlib.sha256(b"").hexdigest()
    headers = {"host": address.host, "x-amz-content-sha256": body, "x-amz-date": moment}
    if address.session_token:
        headers["x-amz-security-token"] = address.session_token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = "\n".join((method, path, arguments, lines, names, body))
    signed = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{address.secret_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, signed.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={address.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers
