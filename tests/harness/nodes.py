"""Several real servers on one database and one store, behind a load balancer under which each request meets another of them."""

import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.balancer import balancer
from harness.postgresql import PostgreSQL
from harness.server import STOP_SECONDS, Server, free_port
from harness.swift import Swift

CERTIFICATE = ("http.tls.certificate", "http.tls.key")


@pytest.fixture(scope="session")
def place_for_nodes(request: pytest.FixtureRequest) -> Callable[[], dict[str, str]]:
    """Makes an empty database in PostgreSQL and an empty bucket in Swift, and gives the settings of nodes that are to share them.

    The engines are started when this is called for the first time.
    """

    def make() -> dict[str, str]:
        database: PostgreSQL = request.getfixturevalue("postgresql")
        store: Swift = request.getfixturevalue("swift")
        return {
            "metadata.url": database.fresh(),
            "storage.s3.regionendpoint": store.endpoint,
            "storage.s3.region": store.region,
            "storage.s3.bucket": store.new_bucket(),
            "storage.s3.accesskey": store.access_key,
            "storage.s3.secretkey": store.secret_key,
        }

    return make


class Nodes(Server):
    """A registry of several nodes, for tests that need not know that it is more than one server.

    `directory`, `settings`, `environment`: as for `Server`. http.addr and the certificate are the balancer's, all else holds for
    each node: where the database and the store are, and one worker unless the settings say how many.
    `count`: how many nodes. `pass_on`: whether the balancer asks another node where one is down. `each`: settings of single nodes, in order.

    `nodes` are the servers; their logs are one file, `log`. Signals go to all of them.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        *,
        count: int = 3,
        pass_on: bool = False,
        each: Sequence[Mapping[str, str]] = (),
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory, settings)
        self._directory = directory
        self._pass_on = pass_on
        self._rounds = 0
        self._front = ExitStack()
        own = [*each, *[{}] * (count - len(each))]
        self.nodes = [
            self._node(f"node{number}", own[number - 1], arguments, environment) for number in range(1, count + 1)
        ]

    def _node(
        self, name: str, settings: Mapping[str, str], arguments: Sequence[str], environment: Mapping[str, str] | None
    ) -> Server:
        own = {key: value for key, value in self.settings.items() if key not in CERTIFICATE} | dict(settings)
        own["http.addr"] = f"127.0.0.1:{free_port()}"
        (self._directory / name).mkdir()
        node = Server(self._directory / name, own, arguments=arguments, environment=environment)
        node.log = self.log
        return node

    @property
    def direct(self) -> Server:
        """One of the nodes, asked without the balancer."""
        return self.nodes[0]

    @property
    def pid(self) -> int:
        """There is none that stands for all of them; those of `nodes` have one."""
        raise AssertionError("several nodes have several main processes")

    @property
    def running(self) -> bool:
        """Whether every node lives."""
        return all(node.running for node in self.nodes)

    def children(self) -> list[int]:
        """The main processes of the nodes and all that is below them."""
        return [pid for node in self.nodes for pid in (node.pid, *node.children())]

    def spawn(self) -> None:
        """Start all nodes at the same time, and the balancer. Return when that listens, whether or not the nodes come up."""
        for node in self.nodes:
            node.spawn()
        self._rounds += 1
        given = [self.settings.get(key) for key in CERTIFICATE]
        certificate = (given[0], given[1]) if given[0] and given[1] else None
        addresses = [node.address for node in self.nodes]
        directory = self._directory / f"balancer{self._rounds}"
        self._front.enter_context(
            balancer(directory, self.address, addresses, certificate=certificate, pass_on=self._pass_on)
        )

    def _answers(self) -> bool:
        return all(node._answers() for node in self.nodes)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for a node that has ended, or for all to end: the first exit status that is not 0."""
        ended = [node for node in self.nodes if not node.running] or self.nodes
        return next(filter(None, [node.wait(seconds) for node in ended]), 0)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the main process of each node."""
        for node in self.nodes:
            node.signal(number)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Ask the nodes to end, one after the other, then the balancer: the first exit status that is not 0."""
        try:
            return next(filter(None, [node.stop(seconds) for node in self.nodes]), 0)
        finally:
            self.kill()

    def kill(self) -> None:
        """End all processes of all nodes at once, and the balancer."""
        for node in self.nodes:
            node.kill()
        self._front.close()

    def journal(self) -> list[str]:
        """The node that answered each request since the last start, as HOST:PORT, in order."""
        lines = (self._directory / f"balancer{self._rounds}" / "journal").read_text().splitlines()
        return [line.rpartition(" ")[2] for line in lines]
