"""How many requests at the S3 engine, and SQL statements, a push and a pull cost."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from benchmark.client import MIB, Connection, Layers, push_layer
from benchmark.scale.counting import CountingProxy
from benchmark.scale.engines import Engines, settle
from benchmark.scale.images import pull_as_docker, push_as_docker
from benchmark.scale.servers import OnBucket

REPOSITORY = "measured/counted"
LAYERS = 3
LAYER_BYTES = 4 * MIB
JOIN_SECONDS = 30.0
"""Within this time a layer that came in parts is put at its own key."""
ARRIVAL_SECONDS = 0.3
"""Time for the last line to reach PostgreSQL's log."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is counted, in the words of the table; `work` does it `times` times, and what follows is watched for at least `watched` seconds."""

    name: str
    title: str
    times: int
    work: Callable[[Connection, Layers], None]
    watched: float = 0.0


def operations(images: int, large: int, idle_seconds: int) -> tuple[Operation, ...]:
    """What is counted: so many images, a layer of `large` bytes, and so long nothing at all."""
    tags = [f"v{number}" for number in range(images)]

    def push(connection: Connection, layers: Layers) -> None:
        for tag in tags:
            push_as_docker(connection, REPOSITORY, [layers.make(LAYER_BYTES) for _ in range(LAYERS)], tag)

    def pull(connection: Connection, _layers: Layers) -> None:
        for tag in tags:
            pull_as_docker(connection, REPOSITORY, tag)

    def push_one(connection: Connection, layers: Layers) -> None:
        push_layer(connection, REPOSITORY, layers.make(large), chunked=True)

    def idle(_connection: Connection, _layers: Layers) -> None:
        time.sleep(idle_seconds)

    size = f"{LAYERS} layers of {LAYER_BYTES // MIB} MiB"
    return (
        Operation("push", f"docker push of an image with {size}", images, push),
        Operation("pull", "docker pull of it, blobs from where the registry sends the client", images, pull),
        Operation("large", f"docker push of one layer of {large // MIB} MiB", 1, push_one, JOIN_SECONDS),
        Operation("idle", f"nothing for {idle_seconds} s", 1, idle),
    )


@dataclass(slots=True)
class Count:
    """What one operation cost on the average: requests by kind until the last answer, and in the background after it."""

    requests: dict[str, float] = field(default_factory=dict)
    later: dict[str, float] = field(default_factory=dict)
    statements: float = 0.0
    transactions: float = 0.0
    statements_later: float = 0.0


Counts = dict[str, dict[str, Count]]
"""By name of the operation and of the registry."""


class Books:
    """Counts what one registry does, which stands behind a counting proxy."""

    def __init__(self, engines: Engines, proxy: CountingProxy) -> None:
        self._engines = engines
        self._proxy = proxy
        self._seen = 0

    def count(self, work: Callable[[], None], times: int, watched: float) -> Count:
        """Do `work`, which is `times` operations, and wait until it is quiet again, for at least `watched` seconds."""
        settle()
        self._take()
        work()
        requests, statements = self._take()
        settle(watched)
        later, statements_later = self._take()
        return Count(
            {kind: number / times for kind, number in requests.items()},
            {kind: number / times for kind, number in later.items()},
            len(statements) / times,
            sum(1 for text in statements if text.strip().upper() == "COMMIT") / times,
            len(statements_later) / times,
        )

    def _take(self) -> tuple[Counter[str], list[str]]:
        time.sleep(ARRIVAL_SECONDS)
        statements = self._engines.statements()
        new, self._seen = statements[self._seen :], len(statements)
        return self._proxy.take(), new


def count_all(
    engines: Engines, make: Callable[[int], OnBucket], layers: Layers, chosen: tuple[Operation, ...]
) -> dict[str, Count]:
    """Count all operations of one registry; `make` makes it, with its S3 engine at a port of ours."""
    counts = {}
    with ExitStack() as stack:
        proxy = stack.enter_context(CountingProxy(engines.store_port))
        server = make(proxy.port)
        stack.callback(server.stop)
        server.start()
        engines.log_statements(on=True)
        stack.callback(engines.log_statements, on=False)
        books = Books(engines, proxy)
        with Connection(server.port) as connection:
            for operation in chosen:
                work = partial(operation.work, connection, layers)
                counts[operation.name] = books.count(work, operation.times, operation.watched)
    return counts
