"""The table, as Markdown for people and as JSON for programs."""

import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmark.client import MIB
from benchmark.measures import BY_NAME, MEASURES, Measure, Sample
from benchmark.scenarios import DISK_LIMIT, Options, Results
from benchmark.servers import HERE, Bare, DockerRegistry, Holdfast
from benchmark.volumes import TAGS_EACH

OURS, THEIRS = Holdfast.name, DockerRegistry.name
# A push that reaches this part of what dd reaches is limited by the disk.
DISK_BOUND = 0.85


def _median(samples: list[Sample] | None) -> float | None:
    return statistics.median(sample.value for sample in samples) if samples else None


def _cpu(samples: list[Sample] | None) -> float | None:
    """CPU seconds for each unit of work, the median of the samples."""
    costs = [sample.cpu / sample.work for sample in samples or () if sample.work]
    return statistics.median(costs) if costs else None


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs else None


def number(value: float | None, unit: str = "") -> str:
    """A figure with about three digits."""
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}" + (f" {unit}" if unit else "")


def _verdict(asked: str, value: float, *, reached: bool) -> str:
    return f"{asked}: **{'reached' if reached else 'not reached'}** ({number(value)})"


class Row:
    """One measure, summed up."""

    def __init__(self, measure: Measure, results: Results) -> None:
        samples = results.get(measure.name, {})
        self.measure = measure
        self.ours, self.theirs = _median(samples.get(OURS)), _median(samples.get(THEIRS))
        self.our_cpu, self.their_cpu = _cpu(samples.get(OURS)), _cpu(samples.get(THEIRS))
        self.ratio, self.cpu_ratio = _ratio(self.ours, self.theirs), _ratio(self.our_cpu, self.their_cpu)
        self.dd = _median(samples.get(DISK_LIMIT))
        # The two manifest measures have answers of the same size, so one bare answer stands beside both.
        beside = results.get("manifest-tag", {}) if measure.bare_ratio else {}
        self.bare, self.bare_cpu = _median(beside.get(Bare.name)), _cpu(beside.get(Bare.name))

    def verdicts(self) -> Iterator[str]:
        """Each target that could be judged, with the figure and whether it is reached."""
        measure = self.measure
        if measure.ratio is not None and self.ratio is not None:
            yield (
                _verdict(f"≥ {measure.ratio:g} times", self.ratio, reached=self.ratio >= measure.ratio)
                + self._disk_note()
            )
        if measure.bare_ratio is not None and (part := _ratio(self.ours, self.bare)) is not None:
            yield _verdict(f"≥ {measure.bare_ratio:g} of bare", part, reached=part >= measure.bare_ratio)
        if measure.cpu_ratio is not None and self.cpu_ratio is not None:
            yield _verdict(
                f"CPU ≤ {measure.cpu_ratio:g} times", self.cpu_ratio, reached=self.cpu_ratio <= measure.cpu_ratio
            )
        if measure.limit is not None and self.ours is not None:
            yield _verdict(f"< {measure.limit:g} {measure.unit}", self.ours, reached=self.ours < measure.limit)

    def _disk_note(self) -> str:
        part = _ratio(self.ours, self.dd)
        if (
            part is not None
            and part >= DISK_BOUND
            and self.ratio is not None
            and self.ratio < (self.measure.ratio or 0)
        ):
            return ", the disk is the limit: tmpfs and CPU decide"
        return ""

    def beside(self) -> str:
        """The bare answer's figure, or dd's."""
        if self.bare is not None:
            return f"bare {number(self.bare)}, CPU {number(self.bare_cpu)}"
        return f"dd {number(self.dd)}" if self.dd is not None else ""

    def cells(self) -> list[str]:
        measure = self.measure
        title = f"{measure.title} ({measure.unit})"
        cpu = [number(self.our_cpu), number(self.their_cpu)] if measure.per else ["", ""]
        per = f" per {measure.per}" if measure.per else ""
        cpu = [f"{value}{per}" if value not in ("", "–") else value for value in cpu]
        return [
            title,
            number(self.ours),
            number(self.theirs),
            number(self.ratio),
            self.beside(),
            *cpu,
            "; ".join(self.verdicts()),
        ]


HEADINGS = [
    "Measure",
    "Holdfast",
    "docker-registry",
    "ratio",
    "beside",
    "CPU s, Holdfast",
    "CPU s, docker-registry",
    "target",
]


def table(results: Results) -> str:
    """The Markdown table of everything that was measured."""
    rows = [Row(measure, results) for measure in MEASURES if measure.name in results]
    lines = [HEADINGS, ["---", *["---:"] * 6, "---"], *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def output_of(*command: str) -> str:
    """What a program prints, stripped; empty where it cannot be run or fails."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def filesystem_type(path: Path) -> str:
    """The type of the file system that holds `path`."""
    return output_of("df", "--output=fstype", str(path)).rpartition("\n")[2] or "unknown"


def machine() -> dict[str, str]:
    """What all figures depend on; no names or paths of the machine."""
    processor = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    version = output_of(DockerRegistry.program, "--version").rpartition(" ")[2]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{processor.group(1) if processor else platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory / (1024 * MIB):.0f} GiB",
        "kernel": platform.release(),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "granian": importlib.metadata.version("granian"),
        "holdfast commit": output_of("git", "-C", str(HERE), "rev-parse", "--short", "HEAD") or "unknown",
        "docker-registry": version or "unknown",
    }


def environment(options: Options) -> dict[str, str]:
    """What the figures of a run depend on."""
    return machine() | {
        "disk": filesystem_type(options.disk),
        "memory directory": filesystem_type(options.tmpfs) if options.tmpfs else "none",
        "holdfast workers": str(Holdfast.workers or "default"),
        "rounds": f"{options.rounds}, {options.seconds} s for each request rate, wrk -t1 -c16",
        "large layer": f"{options.large // MIB} MiB",
        "layers of the 32 clients": f"{options.crowd_layer // MIB} MiB",
        "repositories": f"{options.repositories:,}",
        "volume that is imported": f"{options.volume:,} repositories, {options.volume * TAGS_EACH:,} tags",
    }


def markdown(results: Results, surroundings: Mapping[str, str], notes: list[str]) -> str:
    """The whole report."""
    parts = [
        "# Holdfast beside docker-registry",
        "Made by `./bench`; docs/benchmark.md tells how to read it. Medians of the rounds.",
    ]
    parts.append("\n".join(f"- {name}: {value}" for name, value in surroundings.items()))
    parts.append(table(results))
    if notes:
        parts.append("Notes of the run:\n\n" + "\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def as_json(results: Results, surroundings: Mapping[str, str], notes: list[str]) -> str:
    """Every sample, for programs."""
    measured = {
        name: {
            "title": BY_NAME[name].title,
            "unit": BY_NAME[name].unit,
            "work": BY_NAME[name].per,
            "samples": {server: [asdict(sample) for sample in samples] for server, samples in servers.items()},
        }
        for name, servers in results.items()
    }
    return json.dumps({"environment": surroundings, "measures": measured, "notes": notes}, indent=1) + "\n"
