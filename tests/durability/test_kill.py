"""kill -9 while several clients push: everything that was answered is there, nothing that is half done is seen, the tree is the database."""

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from durability.ledger import Ledger, mount, push_blob, push_chunks, push_manifest, remove_tag, verify
from harness.content import OCI_CONFIG, Content, image
from harness.http import Client
from harness.repository import Repository
from harness.server import Server, wait_until

CLIENTS = 4
WORKERS = 2


class Pusher(threading.Thread):
    """A client that pushes at random until it is told to stop; requests that get no answer count as in flight."""

    def __init__(self, number: int, seed: int, server: Server, ledger: Ledger, stop: threading.Event) -> None:
        super().__init__(name=f"pusher {number}")
        self._random = random.Random(seed)
        self._ledger = ledger
        self._stopping = stop
        self._own = f"own{number}"
        self._repository = Repository(Client(server, timeout=10), f"kill/r{number % 2}")
        self.answered = 0

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._push()
                self.answered += 1
            except AssertionError as error:
                self._ledger.strange.append(str(error))
                return
            except OSError:
                self._stopping.wait(0.01)

    def _blob(self, size: int) -> Content:
        return Content(self._random.randbytes(self._random.randint(1, size)))

    def _push(self) -> None:
        blob = self._blob(200_000)
        if self._random.random() < 0.5:
            push_blob(self._ledger, self._repository, blob)
        else:
            push_chunks(self._ledger, self._repository, blob, 1 + blob.size // self._random.randint(1, 4))
        config = Content(self._random.randbytes(50), OCI_CONFIG)
        push_blob(self._ledger, self._repository, config)
        other = "kill/mounted"
        mount(self._ledger, Repository(self._repository.client, other), self._repository.name, blob)
        content = image(config, [blob])
        tag = self._random.choice([self._own, self._own, "shared", "shared", ""])
        push_manifest(self._ledger, self._repository, content, tag)
        if self._random.random() < 0.2 and tag == self._own:
            remove_tag(self._ledger, self._repository, tag)


@contextmanager
def pushing(server: Server, ledger: Ledger, seed: int) -> Iterator[Callable[[], int]]:
    """Several clients push while the block runs; gives how many pushes have been answered."""
    stop = threading.Event()
    threads = [Pusher(number, seed + number, server, ledger, stop) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(thread.answered for thread in threads)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def workers(server: Server) -> list[int]:
    """The worker processes."""
    found = []
    for process in server.children():
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"spawn_main" in command:
            found.append(process)
    return found


def kill_worker(server: Server, chance: random.Random) -> None:
    """One worker; the main process starts another."""
    victim = chance.choice(workers(server))
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in server.children() and len(workers(server)) == WORKERS, "a new worker", 20)


def kill_main(server: Server, chance: random.Random) -> None:
    """The main process; the workers must not live on."""
    victims = [server.pid, *workers(server)]
    server.signal(signal.SIGKILL)
    server.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in victims), "the end of the workers", 5)
    server.kill()
    server.start()


def kill_all(server: Server, chance: random.Random) -> None:
    """Everything at once."""
    server.kill()
    server.start()


VICTIMS = [kill_all, kill_worker, kill_main]


def one_round(
    server: Server, ledger: Ledger, chance: random.Random, kill: Callable[[Server, random.Random], None]
) -> None:
    """Push, kill at some moment, look at all that there should be."""
    with pushing(server, ledger, chance.randrange(10**9)) as answered:
        enough = chance.randint(1, 12)
        wait_until(lambda: answered() >= enough or bool(ledger.strange), f"{enough} pushes", 60)
        threading.Event().wait(chance.random() * 0.2)
        kill(server, chance)
    verify(ledger, server)


@pytest.mark.parametrize("engine", ["granian", "uvicorn"])
def test_kill(tmp_path: Path, engine: str, long: bool) -> None:
    """Set SEED to draw the same moments again, as far as the machine lets them come the same."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
    chance = random.Random(seed)
    ledger = Ledger()
    settings = {"server.workers": str(WORKERS), "server.engine": engine, "storage.delete.enabled": "true"}
    with Server(tmp_path, settings) as server:
        for number in range(50 if long else 5):
            kill = VICTIMS[number % len(VICTIMS)]
            sys.stderr.write(f"SEED={seed} round {number}: {kill.__name__}\n")
            one_round(server, ledger, chance, kill)
