"""The settings of object stores reach the requests: where they go, and what they say."""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import obstore
import pytest
import trustme
from obstore.store import S3Store

from holdfast.config.load import load
from holdfast.config.settings import Storage
from holdfast.model.digests import digest_of
from holdfast.storage import paths
from holdfast.storage.object_settings import described, open_blobs, open_store
from holdfast.storage.port import StorageError

KEY = "docker/registry/v2/x"
KEYS = {"accesskey": "AKIAEXAMPLE", "secretkey": "hunter2"}


def storage(driver: str, **values: object) -> Storage:
    """The settings of one driver, as a variable would give them."""
    outside = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return load(None, {**outside, "REGISTRY_STORAGE": json.dumps({driver: values})}).settings.storage


def signed(settings: Storage) -> str:
    opened = open_store(settings)
    signer = opened.options.signer or opened.store
    assert isinstance(signer, S3Store)
    return str(obstore.sign(signer, "GET", f"{opened.options.prefix}/x", timedelta(minutes=1)))


ADDRESSES: list[tuple[dict[str, object], str]] = [
    ({"region": "eu-west-1"}, f"https://s3.eu-west-1.amazonaws.com/images/{KEY}"),
    ({"region": "cn-north-1"}, f"https://s3.cn-north-1.amazonaws.com.cn/images/{KEY}"),
    ({"region": "eu-west-1", "rootdirectory": "/a/b/"}, f"https://s3.eu-west-1.amazonaws.com/images/a/b/{KEY}"),
    ({"region": "eu-west-1", "forcepathstyle": False}, f"https://images.s3.eu-west-1.amazonaws.com/{KEY}"),
    ({"region": "eu-west-1", "usedualstack": True}, f"https://s3.dualstack.eu-west-1.amazonaws.com/images/{KEY}"),
    ({"region": "us-east-1", "usefipsendpoint": True}, f"https://s3-fips.us-east-1.amazonaws.com/images/{KEY}"),
    ({"region": "eu-west-1", "accelerate": True}, f"https://images.s3-accelerate.amazonaws.com/{KEY}"),
    ({"region": "eu-west-1", "secure": False}, f"http://s3.eu-west-1.amazonaws.com/images/{KEY}"),
    ({"regionendpoint": "s3.example.com:9000"}, f"https://s3.example.com:9000/images/{KEY}"),
    ({"regionendpoint": "s3.example.com:9000", "secure": False}, f"http://s3.example.com:9000/images/{KEY}"),
    ({"regionendpoint": "http://s3.example.com:9000/"}, f"http://s3.example.com:9000/images/{KEY}"),
    ({"regionendpoint": "s3.example.com", "forcepathstyle": False}, f"https://images.s3.example.com/{KEY}"),
    (
        {"regionendpoint": "http://s3:9000", "redirectendpoint": "s3.example.com"},
        f"https://s3.example.com/images/{KEY}",
    ),
]


@pytest.mark.parametrize(("values", "address"), ADDRESSES)
def test_where_requests_of_s3_go(values: dict[str, object], address: str) -> None:
    found = urlsplit(signed(storage("s3", bucket="images", **KEYS, **values)))
    assert f"{found.scheme}://{found.netloc}{found.path}" == address


def test_the_region_and_the_credentials_of_the_settings_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of other keys")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ANOTHER")
    query = parse_qs(urlsplit(signed(storage("s3", bucket="images", region="eu-west-1", **KEYS))).query)
    assert query["X-Amz-Credential"][0].startswith("AKIAEXAMPLE/")
    assert "/eu-west-1/s3/" in query["X-Amz-Credential"][0]
    assert "X-Amz-Security-Token" not in query
    query = parse_qs(urlsplit(signed(storage("s3", bucket="images", region="r", sessiontoken="mine", **KEYS))).query)
    assert query["X-Amz-Security-Token"] == ["mine"]


def test_without_credentials_those_of_the_environment_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "AKIAFROMOUTSIDE"), ("SECRET_ACCESS_KEY", "s"), ("SESSION_TOKEN", "t")):
        monkeypatch.setenv(f"AWS_{name}", value)
    query = parse_qs(urlsplit(signed(storage("s3", bucket="images", regionendpoint="s3.example.com"))).query)
    assert query["X-Amz-Credential"][0].startswith("AKIAFROMOUTSIDE/")
    assert "/us-east-1/s3/" in query["X-Amz-Credential"][0]
    assert query["X-Amz-Security-Token"] == ["t"]


def test_a_store_is_described_without_its_secrets() -> None:
    cases = {
        "s3://images/a at https://s3.example.com": storage(
            "s3", bucket="images", regionendpoint="s3.example.com", rootdirectory="/a", **KEYS
        ),
        "gs://images": storage("gcs", bucket="images"),
        "az://images/b at https://me.blob.core.windows.net": storage(
            "azure", accountname="me", container="images", accountkey="aHVudGVyMg==", rootdirectory="b"
        ),
        "": load(None, {}).settings.storage,
    }
    for words, settings in cases.items():
        assert described(settings) == words


class Recorder:
    """A server that takes whatever comes and keeps what was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    @contextmanager
    def serving(self, certificate: trustme.LeafCert | None = None) -> Iterator[str]:
        """Its address, as long as it runs; with TLS where there is a certificate."""
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
                self.send_response(201)
                self.send_header("ETag", '"x"')
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def put(settings: Storage) -> None:
    """Write one blob."""

    async def work() -> None:
        store, _ = open_blobs(settings)
        try:
            await store.put(digest_of(b"x"), b"x")
        finally:
            await store.close()

    asyncio.run(work())


HEADERS: list[tuple[dict[str, object], dict[str, str | None]]] = [
    ({}, {"x-amz-storage-class": None, "x-amz-server-side-encryption": None}),
    ({"encrypt": True}, {"x-amz-server-side-encryption": "AES256"}),
    (
        {"encrypt": True, "keyid": "k"},
        {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "k"},
    ),
    ({"storageclass": "STANDARD_IA"}, {"x-amz-storage-class": "STANDARD_IA"}),
    ({"storageclass": "NONE"}, {"x-amz-storage-class": None}),
]


@pytest.mark.parametrize(("values", "headers"), HEADERS)
def test_what_requests_of_s3_say(values: dict[str, object], headers: dict[str, str | None]) -> None:
    recorder = Recorder()
    with recorder.serving() as address:
        put(
            storage(
                "s3", bucket="images", regionendpoint=address, rootdirectory="r", useragent="mine", **KEYS, **values
            )
        )
    ((_, path, sent),) = recorder.seen
    assert path == f"/images/r/{paths.ROOT}/{paths.blob(digest_of(b'x'))}"
    assert sent["user-agent"].startswith("mine holdfast/")
    assert {name: sent.get(name) for name in headers} == headers


def test_a_certificate_is_not_checked_where_told_so() -> None:
    recorder = Recorder()
    with recorder.serving(trustme.CA().issue_cert("127.0.0.1")) as address:
        settings = storage("s3", bucket="images", regionendpoint=address, skipverify=True, **KEYS)
        put(settings)
        assert len(recorder.seen) == 1


def test_requests_of_azure_are_signed_and_go_to_the_service() -> None:
    recorder = Recorder()
    with recorder.serving() as address:
        put(storage("azure", accountname="me", container="images", accountkey="a2V5", serviceurl=address))
        put(
            storage(
                "azure", accountname="me", container="images", accountkey="a2V5", serviceurl=address, rootdirectory="r"
            )
        )
    place = f"{paths.ROOT}/{paths.blob(digest_of(b'x'))}"
    assert [path for _, path, _ in recorder.seen] == [f"/images/{place}", f"/images/r/{place}"]
    assert all(sent["authorization"].startswith("SharedKey me:") for _, _, sent in recorder.seen)


@pytest.mark.parametrize(
    "make",
    [
        lambda: storage("gcs", bucket="images", keyfile="/nowhere.json"),
        lambda: storage("gcs", bucket="images", credentials={"private_key": "hunter2"}),
        lambda: storage("azure", accountname="me", container="images", accountkey="hunter2!"),
    ],
)
def test_credentials_that_are_none_are_told_without_them(make: Callable[[], Storage]) -> None:
    with pytest.raises(StorageError, match="check the settings of the store") as caught:
        open_store(make())
    assert "hunter2" not in str(caught.value)


def test_without_obstore_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "obstore"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(StorageError, match=r"pip install '\.\[s3\]'"):
        open_store(storage("s3", bucket="images", region="eu-west-1"))
