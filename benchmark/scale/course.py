"""The course of a run: the engines, the registries on them, the rounds, and at the end what is counted."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmark.client import ClientError, Connection, Layers, expect, put_blob
from benchmark.dataset import (
    ACCEPT,
    EMPTY_BLOB,
    EMPTY_DIGEST,
    Dataset,
    empty_manifest,
    push_image,
    put_manifest,
    spread,
)
from benchmark.measures import Sample
from benchmark.scale import measures
from benchmark.scale.counts import Counts, count_all, operations
from benchmark.scale.engines import Engines, settle
from benchmark.scale.measures import BY_NAME, CANDIDATES, EMBEDDED, ENGINE, ONE, SERVER, THEIRS, TWO
from benchmark.scale.servers import Bucket, OnBucket, OursOnBucket, TheirsOnBucket
from benchmark.scenarios import MEASURE_FAILURES, Results, note
from benchmark.servers import Server, ServerError

REPOSITORIES = 500


@dataclass(frozen=True, slots=True)
class Options:
    """What a run was asked for. `large`: size of the large layer in bytes; `workers`: of each Holdfast, an even number."""

    rounds: int
    seconds: int
    large: int
    workers: int
    images: int
    idle_seconds: int
    candidates: tuple[str, ...] = CANDIDATES


@dataclass(slots=True)
class Run:
    """A run under way; `results` maps a measure's name to the samples of each column."""

    options: Options
    work: Path
    layers: Layers
    engines: Engines
    dataset: Dataset = field(default_factory=lambda: Dataset(REPOSITORIES))
    buckets: dict[str, Bucket] = field(default_factory=dict)
    databases: dict[str, str | Path] = field(default_factory=dict)
    results: Results = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """Make a bucket for each candidate, and a database for those that need one."""
        for name in self.options.candidates:
            self.buckets[name] = self.engines.bucket()
        self.databases = {EMBEDDED: self.work / "embedded", SERVER: self.engines.postgresql.fresh()}

    def make(self, candidate: str, port: int = 0, *, name: str = "", workers: int = 0) -> OnBucket:
        """A server of a candidate's data; further nodes have a name of their own. `port`: where the engine is reached."""
        bucket, name = self.buckets[candidate], name or f"registry-{candidate.lower()}"
        if port:
            bucket = bucket.behind(port)
        if candidate == THEIRS:
            return TheirsOnBucket(self.work, name, bucket)
        return OursOnBucket(self.work, name, bucket, self.databases[candidate], workers or self.options.workers)

    def take(self, measure: str, column: str, work: Callable[[], Sample]) -> None:
        """Take one sample; a failure is noted, and the run goes on."""
        try:
            sample = work()
        except MEASURE_FAILURES as error:
            self.failures.append(f"{measure}, {column}: {error}")
            note(f"  {measure:20} {column:16} failed: {error}")
            return
        self.record(measure, column, sample)

    def record(self, measure: str, column: str, sample: Sample) -> None:
        self.results.setdefault(measure, {}).setdefault(column, []).append(sample)
        note(f"  {measure:20} {column:16} {sample.value:12,.2f} {BY_NAME[measure].unit}")


def run_all(run: Run) -> None:
    """Everything. Results and failures are left in `run`."""
    run.prepare()
    with ExitStack() as stack:
        servers = {name: _started(stack, run.make(name)) for name in run.options.candidates}
        digests = {name: fill(run, server) for name, server in servers.items()}
        nodes = more_nodes(run, stack) if SERVER in servers else []
        for number in range(run.options.rounds):
            note(f"round {number + 1} of {run.options.rounds}")
            order = list(servers)[:: -1 if number % 2 else 1]
            one_round(run, {name: servers[name] for name in order}, digests)
            if nodes:
                sides: dict[str, list[Server]] = {ONE: [servers[SERVER]], TWO: nodes}
                compare_nodes(run, {name: sides[name] for name in list(sides)[:: -1 if number % 2 else 1]})
    count(run)


def count(run: Run) -> None:
    """What pushes and pulls cost, of each candidate alone."""
    chosen = operations(run.options.images, run.options.large, run.options.idle_seconds)
    for name in run.options.candidates:
        note(f"counting the requests of {name}")
        try:
            counted = count_all(run.engines, partial(run.make, name), run.layers, chosen)
        except MEASURE_FAILURES as error:
            run.failures.append(f"counting, {name}: {error}")
            continue
        for operation, cost in counted.items():
            run.counts.setdefault(operation, {})[name] = cost


def _started(stack: ExitStack, server: OnBucket) -> OnBucket:
    stack.callback(server.stop)
    server.start()
    return server


def more_nodes(run: Run, stack: ExitStack) -> list[Server]:
    """Two nodes on the same database and bucket as the one on PostgreSQL, with as many workers together as that one has."""
    half = run.options.workers // 2
    return [_started(stack, run.make(SERVER, name=f"node-{number}", workers=half)) for number in range(2)]


def fill(run: Run, server: Server) -> str:
    """Make 500 repositories over HTTP, one of them with an image of eight layers; gives the digest of its manifest."""
    note(f"filling {server.name} with {len(run.dataset.names)} repositories")
    begin = time.perf_counter()
    dataset, manifest = run.dataset, empty_manifest()
    digest = push_image(server.port, dataset)
    with Connection(server.port) as connection:
        put_blob(connection, dataset.tagged, EMPTY_BLOB)

    def push(connection: Connection, name: str) -> None:
        mount = f"/v2/{name}/blobs/uploads/?mount={EMPTY_DIGEST}&from={dataset.tagged}"
        expect(connection.request("POST", mount), 201, "mounting the empty blob")
        put_manifest(connection, name, "latest", manifest)

    try:
        spread(server.port, (name for name in dataset.names if name != dataset.image), push)
    except ClientError as error:
        raise ServerError(f"{error}\nthe log of {server.name} ends:\n{server.log_end()}") from error
    note(f"  {time.perf_counter() - begin:.1f} s, and {settle():.1f} s in the background")
    return digest


def one_round(run: Run, servers: dict[str, OnBucket], digests: dict[str, str]) -> None:
    """Each measure once of each candidate, one candidate right after the other."""
    options = run.options
    run.take("push", ENGINE, lambda: measures.put_rate(next(iter(run.buckets.values())), run.layers, options.large))
    for known in (False, True):
        for name, server in servers.items():
            pushing(run, name, server, known=known)
    for name, server in servers.items():
        target = run.dataset.targets(digests[name])["manifest-tag"]
        check_manifest(run, server, target, digests[name])
        run.take("manifest-tag", name, partial(measures.request_rate, [server], target, options.seconds))
    for name, server in servers.items():
        run.take("catalog", name, partial(measures.catalog_rate, server, REPOSITORIES, options.seconds))


def pushing(run: Run, name: str, server: OnBucket, *, known: bool) -> None:
    """Push the large layer; how long it takes until it lies where it belongs is a figure too."""
    measure = "push-known" if known else "push"
    try:
        sample, later = measures.push(server, run.layers, run.options.large, known=known)
    except MEASURE_FAILURES as error:
        run.failures.append(f"{measure}, {name}: {error}")
        return
    run.record(measure, name, sample)
    if not known:
        run.record("in-place", name, later)


def check_manifest(run: Run, server: Server, target: str, digest: str) -> None:
    """What is measured must be the answer."""
    with Connection(server.port) as connection:
        answer = connection.request("GET", target, headers=[("Accept", ACCEPT)])
    if answer.status != 200 or answer.headers.get("docker-content-digest") != digest:
        run.failures.append(f"manifest-tag, {server.name}: answered {answer.status}: {answer.body[:200]!r}")


def compare_nodes(run: Run, sides: dict[str, list[Server]]) -> None:
    """One node and two, which serve the same registry with the same number of workers together."""
    seconds = run.options.seconds
    target = f"/v2/{run.dataset.image}/manifests/latest"
    for name, servers in sides.items():
        # Both sides meet the same clients: two of wrk, with eight connections each.
        ends = servers * (2 // len(servers))
        run.take("nodes-manifest-tag", name, partial(measures.request_rate, ends, target, seconds))
    for name, servers in sides.items():
        run.take("nodes-push", name, partial(measures.push_rate, servers, run.layers, seconds))
