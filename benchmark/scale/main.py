"""The command line of `./bench scale`."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmark.client import MIB, Layers
from benchmark.report import machine
from benchmark.scale import report
from benchmark.scale.counts import operations
from benchmark.scale.course import Options, Run, run_all
from benchmark.scale.engines import Engines, versions
from benchmark.scale.measures import CANDIDATES
from benchmark.scenarios import note
from benchmark.servers import HERE, DockerRegistry

RESULTS = HERE / "benchmark/results"


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./bench scale",
        description="Measure Holdfast on PostgreSQL and an S3 store beside docker-registry on the same store.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round: a first impression")
    parser.add_argument("--rounds", type=int, help="how often each measure is taken (5)")
    parser.add_argument("--seconds", type=int, help="how long each rate is measured (5)")
    parser.add_argument("--layer-mib", type=int, default=256, help="size of the large layer in MiB (256)")
    parser.add_argument("--workers", type=int, help="workers of each Holdfast, an even number (one for each processor)")
    parser.add_argument("--candidate", action="append", choices=CANDIDATES, help="measure only this one")
    parser.add_argument(
        "--registry", default=DockerRegistry.program, help="another registry program in the place of docker-registry"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path("/var/tmp"), help="a directory on the disk to measure on (/var/tmp)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="where the report goes, without suffix: .md and .json are added (benchmark/results/scale, or scale-quick)",
    )
    chosen = parser.parse_args(argv)
    processors = len(os.sched_getaffinity(0))
    chosen.workers = chosen.workers or max(2, processors - processors % 2)
    if chosen.workers % 2:
        parser.error("--workers: two nodes share them, so the number has to be even")
    return chosen


def main(argv: Sequence[str]) -> int:
    """Run; returns the exit status: 0 when everything could be measured."""
    chosen = arguments(argv)
    quick = chosen.quick
    DockerRegistry.program = chosen.registry
    options = Options(
        rounds=chosen.rounds or (1 if quick else 5),
        seconds=chosen.seconds or (2 if quick else 5),
        large=chosen.layer_mib * MIB,
        workers=chosen.workers,
        images=2 if quick else 10,
        idle_seconds=5 if quick else 60,
        candidates=tuple(chosen.candidate or CANDIDATES),
    )
    surroundings = (
        machine()
        | versions()
        | {
            "workers of each Holdfast": str(options.workers),
            "rounds": f"{options.rounds}, {options.seconds} s for each rate, wrk with 16 connections",
            "large layer": f"{chosen.layer_mib} MiB",
        }
    )
    work = Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir=chosen.directory))
    work.chmod(0o755)  # PostgreSQL runs as a user of its own
    try:
        layers = Layers(work / "base", options.large)
        with Engines(work) as engines:
            run = Run(options, work, layers, engines)
            run_all(run)
        layers.close()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    output: Path = chosen.output or RESULTS / ("scale-quick" if quick or chosen.candidate else "scale")
    text = report.markdown(run, surroundings, operations(options.images, options.large, options.idle_seconds))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".md").write_text(text)
    output.with_suffix(".json").write_text(report.as_json(run, surroundings))
    print(text)
    note(f"written to {os.path.relpath(output)}.md and .json")
    return 1 if run.failures else 0
