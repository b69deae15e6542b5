"""The tables, as Markdown for people and as JSON for programs."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from benchmark.measures import Sample
from benchmark.report import number
from benchmark.scale.counts import Count, Counts, Operation
from benchmark.scale.course import Run
from benchmark.scale.measures import (
    CANDIDATES,
    EMBEDDED,
    ENGINE,
    MEASURES,
    NODE_MEASURES,
    ONE,
    SERVER,
    THEIRS,
    TWO,
    Figures,
    Measure,
)
from benchmark.scenarios import Results

COLUMNS = {THEIRS: THEIRS, EMBEDDED: "Holdfast, SQLite", SERVER: "Holdfast, PostgreSQL", ENGINE: "one PUT at the store"}


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(headings) - 2), "---"]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, rule, *rows))


def _figures(results: Results, measure: Measure) -> Figures:
    return {
        column: statistics.median(sample.value for sample in samples)
        for column, samples in results.get(measure.name, {}).items()
    }


def _cell(samples: Sequence[Sample]) -> str:
    """The median, and the least and the greatest sample where there are several."""
    if not samples:
        return "–"
    values = [sample.value for sample in samples]
    spread = f" ({number(min(values))}–{number(max(values))})" if len(values) > 1 else ""
    return number(statistics.median(values)) + spread


def _targets(measure: Measure, figures: Figures) -> str:
    said = []
    for target in measure.targets:
        if (times := target.reached(figures)) is None:
            continue
        word = "reached" if times >= target.times else "not reached"
        said.append(f"{target.of} ≥ {target.times:g} times {target.than}: **{word}** ({number(times)})")
    return "; ".join(said)


def _rows(results: Results, rows: Sequence[Measure], columns: Sequence[str]) -> Iterable[list[str]]:
    for measure in rows:
        samples = results.get(measure.name, {})
        if samples:
            cells = [_cell(samples.get(column, [])) for column in columns]
            yield [f"{measure.title} ({measure.unit})", *cells, _targets(measure, _figures(results, measure))]


def _requests(kinds: Mapping[str, float]) -> str:
    if not kinds:
        return "0"
    each = ", ".join(f"{number(count)} {kind}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1]))
    return f"{number(sum(kinds.values()))}: {each}"


def _count_row(title: str, counts: Mapping[str, Count], *, later: bool) -> list[str]:
    cells = [title + (", afterwards" if later else "")]
    for name in CANDIDATES:
        count = counts.get(name, Count())
        cells.append(_requests(count.later if later else count.requests))
    count = counts.get(SERVER, Count())
    cells.append(number(count.statements_later if later else count.statements))
    cells.append("" if later else number(count.transactions))
    return cells


def _count_table(counts: Counts, operations: Iterable[Operation]) -> str:
    headings = ["What", *(f"requests at the store: {COLUMNS[name]}" for name in CANDIDATES)]
    headings += ["SQL statements", "of them COMMIT"]
    rows = []
    for operation in operations:
        found = counts.get(operation.name, {})
        rows.append(_count_row(operation.title, found, later=False))
        if any(count.later or count.statements_later for count in found.values()):
            rows.append(_count_row(operation.title, found, later=True))
    return _table(headings, rows)


def markdown(run: Run, surroundings: Mapping[str, str], operations: Sequence[Operation]) -> str:
    """The whole report."""
    columns = [*CANDIDATES, ENGINE]
    half = run.options.workers // 2
    nodes = [f"one node, {2 * half} workers", f"two nodes, {half} worker{'s' * (half > 1)} each"]
    parts = [
        "# Holdfast past one machine, beside docker-registry on the same store",
        "Made by `./bench scale`; docs/benchmark.md tells how to read it. Medians of the rounds, in brackets the least and the greatest.",
        "\n".join(f"- {name}: {value}" for name, value in surroundings.items()),
        _table(["Measure", *(COLUMNS[name] for name in columns), "target"], _rows(run.results, MEASURES, columns)),
        "Nodes of one registry, on PostgreSQL:",
        _table(["Measure", *nodes, "target"], _rows(run.results, NODE_MEASURES, (ONE, TWO))),
        "What it costs at the store and in the database, each time, until the last answer and in the background afterwards:",
        _count_table(run.counts, operations),
    ]
    if run.failures:
        parts.append("Notes of the run:\n\n" + "\n".join(f"- {failure}" for failure in run.failures))
    return "\n\n".join(parts) + "\n"


def as_json(run: Run, surroundings: Mapping[str, str]) -> str:
    """Every sample, for programs."""
    measured = {
        measure.name: {
            "title": measure.title,
            "unit": measure.unit,
            "samples": {
                column: [asdict(sample) for sample in samples]
                for column, samples in run.results.get(measure.name, {}).items()
            },
        }
        for measure in (*MEASURES, *NODE_MEASURES)
    }
    counts = {name: {who: asdict(count) for who, count in found.items()} for name, found in run.counts.items()}
    everything = {"environment": surroundings, "measures": measured, "counts": counts, "notes": run.failures}
    return json.dumps(everything, indent=1) + "\n"
