"""The object store keeps the port's contract on Azure's blobs, as far as the emulator Azurite goes. Runs only when it is named:
`HOLDFAST_AZURITE=<directory>/node_modules/.bin/azurite-blob ./test tests/storage/on_azurite.py`, after `npm install azurite` in that directory.
"""

import base64
import hmac
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from socket import create_connection

import pytest
from obstore.store import AzureStore

from harness.server import free_port, wait_until
from holdfast.storage.contract import BlobStoreContract, UploadContract
from holdfast.storage.contract_parts import PartsContract
from holdfast.storage.object_bucket import CLIENT_OPTIONS, RETRIES
from storage.test_object_store import InBucket

ACCOUNT = "devstoreaccount1"
KEY = base64.b64encode(b"a key of the tests' own").decode()


def _listens(port: int) -> bool:
    try:
        create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def _make_container(port: int, name: str) -> None:
    """obstore makes none. (Azure "Authorize with Shared Key", "Create Container")"""
    date = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S GMT}"
    headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
    lines = "".join(f"{key}:{value}\n" for key, value in headers.items())
    signed = "PUT" + "\n" * 12 + lines + f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), signed.encode(), "sha256")).decode()
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0"}
    connection.request("PUT", f"/{ACCOUNT}/{name}?restype=container", headers=headers)
    assert connection.getresponse().status == 201
    connection.close()


@pytest.fixture(scope="session")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureStore]:
    """A container in an emulator of the session's own."""
    port, log = free_port(), tmp_path_factory.mktemp("azurite") / "log"
    program = Path(os.environ["HOLDFAST_AZURITE"])
    arguments = ("--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck")
    with log.open("wb") as output:
        emulator = subprocess.Popen(
            [program, *arguments, "--disableTelemetry"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
        )
    try:
        wait_until(lambda: _listens(port), "Azurite", 60)
        _make_container(port, "tests")
        yield AzureStore(
            "tests",
            config={
                "account_name": ACCOUNT,
                "account_key": KEY,
                "endpoint": f"http://127.0.0.1:{port}/{ACCOUNT}",
            },
            client_options={**CLIENT_OPTIONS, "allow_http": True},
            retry_config=RETRIES,
        )
    finally:
        emulator.terminate()
        emulator.wait()


class OnAzurite(InBucket):
    """The session's container."""

    rounds = 8

    @pytest.fixture(autouse=True)
    def _bucket(self, container: AzureStore) -> None:
        self.bucket = container


class TestAzuriteBlobStore(OnAzurite, BlobStoreContract):
    """Blobs and small files."""


class TestAzuriteUpload(OnAzurite, UploadContract):
    """Uploads."""


class TestAzuriteParts(OnAzurite, PartsContract):
    """Aims and parts."""
