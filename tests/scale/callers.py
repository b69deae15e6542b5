"""Clients that push and pull without a pause, repeat what fails, and keep a ledger of what they were told."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlsplit

from durability.ledger import Ledger, mount, push_blob, push_manifest
from harness.content import OCI_CONFIG, Content, digest, image
from harness.http import Address, Body, Client, Fields, Listener, Response
from harness.repository import Repository, with_query
from harness.server import wait_until
from scale.measures import FINE, Request, now

T = TypeVar("T")

CALLERS = 8
PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6, *[2.0] * 25)
"""Seconds before each repetition of what failed; after the last one a client gives up."""

TIMEOUT = 60.0
LARGE = 6 * 1024 * 1024
"""Longer than a part of a multipart upload, as the nodes are set up."""

MEDIUM = 100_000


class Unavailable(OSError):
    """An answer that says to come again."""


class PatientClient(Client):
    """A client for which 502, 503 and 504 are failures like that of a connection, and which notes how each request went in `requests`."""

    def __init__(self, listener: Listener, requests: list[Request], headers: Fields = ()) -> None:
        super().__init__(listener, headers=headers, timeout=TIMEOUT)
        self._requests = requests

    def request(self, method: str, target: str, headers: Fields = (), body: Body = None) -> Response:
        began = now()
        how = "unfinished"
        try:
            response = super().request(method, target, headers, body)
            if response.status == 307:
                response = self._elsewhere(response)
            how = FINE if response.status < 500 else str(response.status)
            if response.status in {502, 503, 504}:
                told(response)
                raise Unavailable(f"{response.status} to {method} {target}")
            return response
        except Unavailable:
            raise
        except OSError as error:
            how = type(error).__name__
            raise
        finally:
            self._requests.append(Request(purpose(method, target), began, now(), how))

    def _elsewhere(self, response: Response) -> Response:
        """Fetch a blob from where the registry says that it is."""
        place = urlsplit(response.headers["Location"])
        assert place.hostname, response
        assert place.port, response
        store = Client(Address(place.hostname, place.port), timeout=TIMEOUT)
        answer = store.get(f"{place.path}?{place.query}")
        return Response(response.method, response.target, answer.status, response.headers, answer.body)


def told(response: Response) -> None:
    """A node that cannot answer at the moment says when to come again. (The balancer and the store say so in their own way.)"""
    if response.status == 503 and b'"errors"' in response.body:
        response.expect(503, code="UNAVAILABLE")
        assert int(response.headers["Retry-After"]) > 0, response


def purpose(method: str, target: str) -> str:
    """What a request is for."""
    if method not in {"GET", "HEAD"}:
        return "push"
    if "/blobs/uploads/" in target:
        return "status of an upload"
    if "/blobs/" in target:
        return "blob by digest"
    return "manifest by digest" if "sha256:" in target else "manifest by tag"


class Caller(threading.Thread):
    """A client that pushes an image and pulls another, again and again, until it is told to stop."""

    def __init__(self, number: int, seed: int, listener: Listener, ledger: Ledger, stop: threading.Event) -> None:
        super().__init__(name=f"caller {number}")
        self.requests: list[Request] = []
        self.rounds: list[tuple[float, float]] = []
        """When each round began and ended."""
        self._random = random.Random(seed * 100 + number)
        self._ledger = ledger
        self._stopping = stop
        self._number = number
        self._name = f"scale/{seed % 1000}-{number % 3}"
        self._repository = Repository(PatientClient(listener, self.requests), self._name)
        self._config = Content(self._random.randbytes(50), OCI_CONFIG)
        self._pushed: list[tuple[Content, Content]] = []

    def run(self) -> None:
        while not self._stopping.is_set():
            began = now()
            try:
                self._round()
            except (AssertionError, ValueError, KeyError) as error:
                self._ledger.strange.append(f"{type(error).__name__}: {error}")
                return
            self.rounds.append((began, now()))
            self._stopping.wait(self._random.uniform(0.7, 1.3))

    def again(self, step: Callable[[], T]) -> T:
        """Do something until it succeeds. Raises `AssertionError` after so many times."""
        for pause in PAUSES:
            try:
                return step()
            except OSError as error:
                why = error
            threading.Event().wait(pause * self._random.uniform(0.7, 1.3))
        raise AssertionError(f"{self.name} gave up: {why!r}")

    def _round(self) -> None:
        blob = Content(self._random.randbytes(self._size()))
        if self._random.random() < 0.7:
            self.again(lambda: push_blob(self._ledger, self._repository, blob))
        else:
            self._push_chunks(blob, self._random.randint(2, 3))
        if not self._pushed:
            self.again(lambda: push_blob(self._ledger, self._repository, self._config))
        content = image(self._config, [blob])
        tag = self._random.choice([f"own{self._number}", f"own{self._number}", "shared", ""])
        self.again(lambda: push_manifest(self._ledger, self._repository, content, tag))
        if self._random.random() < 0.3:
            other = Repository(self._repository.client, f"{self._name}-mounted")
            self.again(lambda: mount(self._ledger, other, self._name, blob))
        if tag.startswith("own") and self._random.random() < 0.2:
            self._remove_tag(tag)
        self._pushed.append((content, blob))
        self._pull()

    def _size(self) -> int:
        return LARGE if self._random.random() < 0.05 else self._random.randint(1000, MEDIUM)

    def _push_chunks(self, content: Content, count: int) -> None:
        """Push a blob in chunks; after a failure ask how far it is, and go on from there."""
        location = self.again(self._repository.open_upload)
        size = 1 + content.size // count
        while (offset := self.again(lambda: self._offset(location))) < content.size:
            self.again(lambda o=offset: self._patch(location, content, o, size))  # type: ignore[misc]
        target = with_query(location, f"digest={content.digest}")
        self.again(lambda: self._repository.client.put(target)).expect(201)
        self._ledger.blobs[self._name, content.digest] = content

    def _offset(self, location: str) -> int:
        found = self._repository.client.get(location).expect(204).headers["Range"]
        return 0 if found == "0-0" else int(found.removeprefix("0-")) + 1

    def _patch(self, location: str, content: Content, offset: int, size: int) -> None:
        piece = content.body[offset : offset + size]
        span = {"Content-Range": f"{offset}-{offset + len(piece) - 1}"}
        # 416: what was repeated had come through after all.
        self._repository.client.patch(location, span, piece).expect(202, 416)

    def _remove_tag(self, tag: str) -> None:
        def remove() -> None:
            with self._ledger.lock:
                maybe_gone = None in self._ledger.allowed(self._name, tag)
            with self._ledger.moving(self._name, tag, None):
                self._repository.delete(f"manifests/{tag}").expect(202, *([404] if maybe_gone else []))

        self.again(remove)

    def _pull(self) -> None:
        """What was pushed is there, on whatever node: an image by digest with its layer, and the tag that all move."""
        content, blob = self._random.choice(self._pushed)
        accept = {"Accept": "*/*"}
        found = self.again(lambda: self._repository.get(f"manifests/{content.digest}", accept))
        assert found.expect(200).body == content.body, found
        found = self.again(lambda: self._repository.get(f"blobs/{blob.digest}"))
        assert found.expect(200).body == blob.body, f"{found.target} has other bytes"
        for tag in ("shared", f"own{self._number}"):
            self._see(tag)

    def _see(self, tag: str) -> None:
        """A tag points to what was answered before it is asked for, or moved meanwhile."""

        def look() -> tuple[Response, set[str | None]]:
            since = now()
            with self._ledger.lock:
                allowed = self._ledger.allowed(self._name, tag)
            answer = self._repository.get(f"manifests/{tag}", {"Accept": "*/*"})
            with self._ledger.lock:
                moves = self._ledger.tags.get((self._name, tag), [])
                return answer, allowed | {move.value for move in moves if move.began >= since}

        answer, allowed = self.again(look)
        found = digest(answer.body) if answer.expect(200, 404).status == 200 else None
        assert found in allowed, f"{self._name}:{tag} is {found}, not one of {allowed}"


class Callers:
    """Several clients at once."""

    def __init__(self, threads: list[Caller], ledger: Ledger) -> None:
        self._threads = threads
        self._ledger = ledger

    @property
    def requests(self) -> list[Request]:
        """All requests that have ended."""
        return [request for thread in self._threads for request in list(thread.requests)]

    def await_rounds(self, moment: float, seconds: float = 120.0) -> float:
        """Wait until each client has done a round that began after a moment; gives when the last of them was answered for the first time."""

        def done() -> bool:
            whole = all(any(began >= moment for began, _ in list(thread.rounds)) for thread in self._threads)
            return whole or bool(self._ledger.strange)

        wait_until(done, "a round of every client", seconds)
        assert not self._ledger.strange, self._ledger.strange
        return max(_answered(thread, moment) for thread in self._threads)

    def await_requests(self, enough: Callable[[list[Request]], bool], what: str, seconds: float = 90.0) -> None:
        """Wait until the requests that have ended are enough of something."""
        wait_until(lambda: bool(self._ledger.strange) or enough(self.requests), what, seconds)
        assert not self._ledger.strange, self._ledger.strange


def _answered(thread: Caller, moment: float) -> float:
    """When a request was answered for the first time that began after a moment."""
    return next(request.ended for request in list(thread.requests) if request.began >= moment and request.how == FINE)


@contextmanager
def calling(listener: Listener, ledger: Ledger, seed: int) -> Iterator[Callers]:
    """Clients push and pull while the block runs; at its end what they have begun succeeds."""
    stop = threading.Event()
    threads = [Caller(number, seed, listener, ledger, stop) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield Callers(threads, ledger)
    finally:
        stop.set()
        for thread in threads:
            thread.join(180)
    assert not any(thread.is_alive() for thread in threads)
    assert ledger.strange == []
