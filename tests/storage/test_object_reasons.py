"""A store that cannot be reached: the error says why."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import trustme

from harness.server import free_port
from harness.swift import Swift
from holdfast.storage.object_store import ObjectBlobStore
from holdfast.storage.port import StorageError, StorageUnavailable
from holdfast.storage.s3_requests import S3Address
from storage.test_object_store_faults import on_bucket


@pytest.fixture
def address(swift: Swift) -> S3Address:
    """A bucket with its credentials."""
    return swift.bucket_address(swift.new_bucket())


@contextmanager
def listening(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Something that does this with each connection, at the port that is given."""

    def work() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            try:
                answer(line)
            except OSError:
                pass
            finally:
                line.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def said(address: S3Address, endpoint: str) -> str:
    """What is said of the bucket at another address."""
    words: list[str] = []

    async def work(store: ObjectBlobStore) -> None:
        with pytest.raises(StorageUnavailable) as caught:
            await store.read_file("a")
        words.append(str(caught.value))

    on_bucket(replace(address, endpoint=endpoint), work, patience=1)
    return words[0]


def test_nothing_listens(address: S3Address) -> None:
    assert "nothing listens there" in said(address, f"http://127.0.0.1:{free_port()}")


def test_a_name_that_does_not_exist(address: S3Address) -> None:
    assert "cannot be resolved" in said(address, "http://store.invalid")


def test_tls_where_there_is_none(swift: Swift, address: S3Address) -> None:
    assert "write http:// before the address" in said(address, address.endpoint.replace("http:", "https:"))


def test_a_certificate_that_nobody_trusts(address: S3Address) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with listening(lambda line: context.wrap_socket(line, server_side=True).recv(1)) as port:
        assert "certificate is not trusted" in said(address, f"https://127.0.0.1:{port}")


def test_something_else_than_a_store(address: S3Address) -> None:
    def answer(line: socket.socket) -> None:
        line.recv(65536)
        line.sendall(b"SSH-2.0-Other\r\n")

    with listening(answer) as port:
        assert "correct host and port" in said(address, f"http://127.0.0.1:{port}")


def test_the_region_of_the_bucket_is_named(address: S3Address) -> None:
    async def work(store: ObjectBlobStore) -> None:
        with pytest.raises(StorageError, match="the region is wrong: set it to us-east-1"):
            await store.read_file("a")

    on_bucket(replace(address, region="eu-west-1"), work)
