"""The course of a run: which servers stand on which data, and who is measured when.

Within a round each measure is taken of one server and then at once of the other, while the rest stand idle, so that
noise of the machine meets both; the order turns with each round.
"""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmark import measures
from benchmark.bare import write_answer
from benchmark.client import MIB, ClientError, Connection, Layers
from benchmark.dataset import ACCEPT, Dataset, push_image, push_repositories, push_tags, remove, write_tree
from benchmark.measures import Measure, Sample
from benchmark.servers import Bare, DockerRegistry, Holdfast, Registry, Server, ServerError

Results = dict[str, dict[str, list[Sample]]]
REGISTRIES: dict[str, type[Registry]] = {kind.name: kind for kind in (Holdfast, DockerRegistry)}
DISK_LIMIT = "dd"
MEASURE_FAILURES = (ClientError, ServerError, OSError)


@dataclass(slots=True)
class Options:
    """What a run was asked for; sizes in bytes."""

    selected: Sequence[Measure]
    servers: Sequence[str]
    rounds: int = 5
    seconds: int = 3
    repositories: int = 10_000
    volume: int = 10_000
    large: int = 1024 * MIB
    crowd_layer: int = 256 * MIB
    pulls: int = 4
    disk: Path = Path("/var/tmp")
    tmpfs: Path | None = None


@dataclass(slots=True)
class Run:
    """A run under way; `results` maps a measure's name to the samples of each server."""

    options: Options
    work: Path
    data: Path
    layers: Layers
    dataset: Dataset
    results: Results = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    manifest_digest: str = ""

    def wants(self, name: str) -> bool:
        return any(measure.name == name for measure in self.options.selected)

    def wants_scenario(self, scenario: str) -> bool:
        return any(measure.scenario == scenario for measure in self.options.selected)

    def record(self, measure: str, server: str, sample: Sample) -> None:
        self.results.setdefault(measure, {}).setdefault(server, []).append(sample)

    def remark(self, text: str) -> None:
        """Keep something that the reader of the table should know."""
        if text not in self.remarks:
            self.remarks.append(text)

    def take(self, measure: str, server: str, work: Callable[[], Sample]) -> None:
        """Take one sample if the measure was selected; a failure is noted, and the run goes on."""
        if not self.wants(measure):
            return
        try:
            sample = work()
        except MEASURE_FAILURES as error:
            self.failures.append(f"{measure}, {server}: {error}")
            note(f"  {measure:24} {server:16} failed: {error}")
            return
        self.record(measure, server, sample)
        unit = measures.BY_NAME[measure].unit
        note(f"  {measure:24} {server:16} {sample.value:12,.1f} {unit:6} {sample.cpu:8.2f} CPU s")


def note(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)


def run_all(run: Run) -> None:
    """Everything that was selected. Results and failures are left in `run`."""
    reading = run.wants_scenario("read") or run.wants_scenario("logged")
    if reading:
        fill(run)
    for number in range(run.options.rounds):
        note(f"round {number + 1} of {run.options.rounds}")
        one_round(run, list(run.options.servers)[:: -1 if number % 2 else 1])
    if reading:
        for name in run.options.servers:
            remove(run.data / name)
    if run.wants_scenario("memory"):
        for name in run.options.servers:
            memory(run, name)


def one_round(run: Run, order: Sequence[str]) -> None:
    """Each selected measure once, but for those of memory."""
    for scenario, access_log in (("read", False), ("logged", True)):
        if run.wants_scenario(scenario):
            read(run, order, access_log=access_log)
    for scenario, place in (("disk", run.work), ("tmpfs", run.data if run.options.tmpfs else None)):
        if run.wants_scenario(scenario) and place:
            write(run, order, place, scenario)


def fill(run: Run) -> None:
    """Make the data set of each server, and keep the answer that the bare server repeats."""
    for name in run.options.servers:
        note(f"filling {name} with {len(run.dataset.names):,} repositories")
        root = run.data / name
        root.mkdir()
        if name == DockerRegistry.name:
            write_tree(root, run.dataset)
        server = REGISTRIES[name](run.work, root, access_log=False)
        server.start()
        try:
            run.manifest_digest = push_image(server.port, run.dataset)
            push_tags(server.port, run.dataset)
            if name != DockerRegistry.name:
                push_repositories(server.port, run.dataset)
            with Connection(server.port) as connection:
                target = run.dataset.targets(run.manifest_digest)["manifest-tag"]
                answer = connection.request("GET", target, headers=[("Accept", ACCEPT)])
            if name == Holdfast.name or not answer_path(run).exists():
                write_answer(answer_path(run), answer.headers, answer.body)
        finally:
            server.stop()


def answer_path(run: Run) -> Path:
    return run.work / "answer.json"


def start(run: Run, server: Server, stack: ExitStack, measure: str = "") -> None:
    """Start a server that is stopped when the stack unwinds; how long it took is a sample of `measure`."""
    stack.callback(server.stop)
    seconds = server.start()
    if measure:
        run.take(measure, server.name, lambda: Sample(seconds * 1000))


def read(run: Run, order: Sequence[str], *, access_log: bool) -> None:
    """The reading measures."""
    suffix = "-logged" if access_log else ""
    with ExitStack() as stack:
        servers: list[Server] = [REGISTRIES[name](run.work, run.data / name, access_log=access_log) for name in order]
        for server in servers:
            start(run, server, stack, "" if access_log else "start-filled")
        targets = run.dataset.targets(run.manifest_digest)
        compare(run, servers, {name: target for name, target in targets.items() if run.wants(name + suffix)})
        if not access_log and run.wants("manifest-tag"):
            bare = Bare(run.work, answer_path(run), Holdfast.workers)
            start(run, bare, stack)
            servers.append(bare)
        for server in servers:
            measures.request_rate(server, targets["manifest-tag"], 1)
        for name, target in targets.items():
            for server in servers:
                if server.name != Bare.name or name == "manifest-tag":
                    run.take(
                        name + suffix, server.name, partial(measures.request_rate, server, target, run.options.seconds)
                    )
        if access_log:
            check_logs(run, servers)


def compare(run: Run, servers: Sequence[Server], targets: dict[str, str]) -> None:
    """Make sure that both servers answer the same, so that equal work is compared; what differs is told once."""
    for name, target in targets.items():
        bodies = [json.loads(measures.read_answer(server, target)) for server in servers]
        for body in bodies:
            if isinstance(body.get("tags"), list):
                body["tags"].sort()  # docker-registry answers them in the order of the directory
        if all(body == bodies[0] for body in bodies):
            continue
        sizes = [f"{server.name} answers {count(body)}" for server, body in zip(servers, bodies, strict=True)]
        run.remark(f"{name}: {', '.join(sizes)}")


def count(body: dict[str, object]) -> str:
    """How much is in an answer, in words."""
    lists = [f"{len(value)} {key}" for key, value in body.items() if isinstance(value, list)]
    return ", ".join(lists) or "no list"


def check_logs(run: Run, servers: Sequence[Server]) -> None:
    """Each request must have left a line in each log, else the servers would not have done the same work."""
    for server in servers:
        with server.log.open("rb") as log:
            lines = sum(1 for _ in log)
        done = [samples.get(server.name, []) for name, samples in run.results.items() if name.endswith("-logged")]
        requests = sum(samples[-1].work * 1000 for samples in done if samples)
        if lines < requests:
            run.remark(f"{server.name} logged {lines:,} lines for {requests:,.0f} requests")


def write(run: Run, order: Sequence[str], place: Path, scenario: str) -> None:
    """Pushes and pulls on fresh directories below `place`."""
    suffix = "" if scenario == "disk" else "-tmpfs"
    roots = {name: place / f"{name}-{scenario}" for name in order}
    try:
        with ExitStack() as stack:
            servers: list[Server] = []
            for name, root in roots.items():
                root.mkdir()
                servers.append(REGISTRIES[name](run.work, root, access_log=False))
                start(run, servers[-1], stack, "start-empty" if scenario == "disk" else "")
            for server in servers:
                push_and_pull(run, server, suffix)
            for server in servers:
                run.take(f"push-small{suffix}", server.name, partial(measures.push_small, server, run.layers))
            if not suffix:
                return
            for server in servers:
                run.take(f"push-chunked{suffix}", server.name, partial(push_chunked, run, server))
    finally:
        for root in roots.values():
            remove(root)
        run.take(
            f"push{suffix}", DISK_LIMIT, lambda: measures.write_rate(run.layers.path, place / "dd", run.options.large)
        )


def push_chunked(run: Run, server: Server) -> Sample:
    return measures.push_large(server, run.layers, run.options.large, chunked=True)[0]


def push_and_pull(run: Run, server: Server, suffix: str) -> None:
    """Push one large layer; on disk also check it and pull it. A pull that is measured alone still needs the push."""
    if not (run.wants(f"push{suffix}") or (run.wants("pull") and not suffix)):
        return
    try:
        sample, layer = measures.push_large(server, run.layers, run.options.large)
        run.take(f"push{suffix}", server.name, lambda: sample)
        if not suffix and run.wants("pull"):
            measures.check_pull(server, layer)
            run.take("pull", server.name, lambda: measures.pull_large(server, layer, run.options.pulls))
    except MEASURE_FAILURES as error:
        run.failures.append(f"push{suffix}, {server.name}: {error}")


def memory(run: Run, name: str) -> None:
    """The memory of one server; no other one runs meanwhile, because pages that two share would count half."""
    root = run.work / f"{name}-memory"
    root.mkdir()
    size = run.options.crowd_layer
    try:
        with ExitStack() as stack:
            server = REGISTRIES[name](run.work, root, access_log=False)
            start(run, server, stack)
            run.take("memory-idle", name, lambda: measures.memory_idle(server))
            run.take("memory-load", name, lambda: measures.memory_load(server, run.layers, size))
        remove(root)
        root.mkdir()
        with ExitStack() as stack:
            start(run, server, stack)
            run.take("memory-stalled", name, lambda: measures.memory_stalled(server, run.layers, size))
    finally:
        shutil.rmtree(root, ignore_errors=True)
