"""The command line of `./bench`."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmark import report
from benchmark.client import MIB, Layers
from benchmark.dataset import Dataset
from benchmark.importing import importing
from benchmark.measures import MEASURES, select
from benchmark.scenarios import REGISTRIES, Options, Run, note, run_all
from benchmark.servers import HERE, DockerRegistry, Holdfast

RESULTS = HERE / "benchmark/results"
GIB = 1024 * MIB


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./bench",
        description="Measure Holdfast beside docker-registry on this machine.",
        epilog="`./bench scale` measures it on PostgreSQL and an S3 store; see `./bench scale --help`.",
    )
    parser.add_argument(
        "measures",
        nargs="*",
        metavar="MEASURE",
        help="what to measure (see --list); a first part such as `push` selects all that begin with it",
    )
    parser.add_argument("--list", action="store_true", help="list the measures and end")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short round with smaller layers: a first impression in about two minutes",
    )
    parser.add_argument("--rounds", type=int, help="how often each measure is taken (5)")
    parser.add_argument("--seconds", type=int, help="how long each request rate is measured (3)")
    parser.add_argument("--layer-mib", type=int, help="size of the large layer in MiB (1024)")
    parser.add_argument("--repositories", type=int, default=10_000, help="size of the catalog (10000)")
    parser.add_argument(
        "--volume", type=int, help="repositories of the volume that is imported, with ten tags each (10000)"
    )
    parser.add_argument("--server", action="append", choices=sorted(REGISTRIES), help="measure only this server")
    parser.add_argument(
        "--registry", default=DockerRegistry.program, help="another registry program in the place of docker-registry"
    )
    parser.add_argument("--workers", type=int, default=0, help="workers of Holdfast (its default)")
    parser.add_argument(
        "--engine", choices=["granian", "uvicorn"], default="granian", help="HTTP server of Holdfast (granian)"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path("/var/tmp"), help="a directory on the disk to measure on (/var/tmp)"
    )
    parser.add_argument(
        "--memory-directory", type=Path, default=Path("/dev/shm"), help="a directory on tmpfs (/dev/shm)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="where the report goes, without suffix: .md and .json are added (benchmark/results/latest, or quick)",
    )
    chosen = parser.parse_args(argv)
    try:
        chosen.selected = select(chosen.measures)
    except ValueError as error:
        parser.error(str(error))
    return chosen


def options_of(chosen: argparse.Namespace) -> Options:
    """The options of a run. Says so when there is no room on tmpfs: those measures are left out then."""
    quick = chosen.quick
    large = (chosen.layer_mib or (256 if quick else 1024)) * MIB
    tmpfs: Path | None = chosen.memory_directory
    # Two registries with two large layers and 200 small ones each, and the data set of both.
    if tmpfs is None or not tmpfs.is_dir() or shutil.disk_usage(tmpfs).free < 4 * large + 2 * GIB:
        note(f"bench: {tmpfs} has no room for the measures on tmpfs; they are left out")
        tmpfs = None
    return Options(
        selected=chosen.selected,
        servers=chosen.server or list(REGISTRIES),
        rounds=chosen.rounds or (1 if quick else 5),
        seconds=chosen.seconds or (1 if quick else 3),
        repositories=chosen.repositories,
        volume=chosen.volume or (1_000 if quick else 10_000),
        large=large,
        crowd_layer=(64 if quick else 256) * MIB,
        pulls=4,
        disk=chosen.directory,
        tmpfs=tmpfs,
    )


def output_of(chosen: argparse.Namespace) -> Path:
    """Where the report goes: a whole run replaces the latest results, any other the quick ones."""
    whole = not (chosen.quick or chosen.measures or chosen.server)
    output: Path = chosen.output or RESULTS / ("latest" if whole else "quick")
    return output


def main(argv: Sequence[str]) -> int:
    """Run; returns the exit status: 0 when everything could be measured."""
    if argv[:1] == ["scale"]:
        from benchmark.scale.main import main as scale  # noqa: PLC0415 - it needs engines that the rest does without

        return scale(argv[1:])
    chosen = arguments(argv)
    if chosen.list:
        for measure in MEASURES:
            print(f"{measure.name:24} {measure.title} ({measure.unit})")
        return 0
    DockerRegistry.program, Holdfast.workers, Holdfast.engine = chosen.registry, chosen.workers, chosen.engine
    options = options_of(chosen)
    if report.filesystem_type(options.disk) == "tmpfs":
        note(f"bench: {options.disk} is on tmpfs; name a directory on a disk with --directory")
    surroundings = report.environment(options)
    work = Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir=options.disk))
    data = Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir=options.tmpfs)) if options.tmpfs else work
    try:
        layers = Layers(work / "base", max(options.large, options.crowd_layer, 2 * MIB))
        run = Run(options, work, data, layers, Dataset(options.repositories))
        try:
            run_all(run)
            if run.wants_scenario("import") and Holdfast.name in options.servers:
                importing(run)
        finally:
            layers.close()
    finally:
        for place in (work, data):
            shutil.rmtree(place, ignore_errors=True)
        os.sync()
    output = output_of(chosen)
    output.parent.mkdir(parents=True, exist_ok=True)
    notes = run.remarks + run.failures
    text = report.markdown(run.results, surroundings, notes)
    output.with_suffix(".md").write_text(text)
    output.with_suffix(".json").write_text(report.as_json(run.results, surroundings, notes))
    print(text)
    note(f"written to {os.path.relpath(output)}.md and .json")
    return 1 if run.failures else 0
