"""What `holdfast garbage-collect` prints, for people and for programs."""

from datetime import UTC, datetime

import click

from holdfast.gc.collector import Wanted
from holdfast.gc.events import BlobGone, Event, Kept, Summary
from holdfast.metadata.queries.collection import ManifestKey


class Output:
    """Prints what happens as it happens, or keeps it for JSON."""

    def __init__(self, wanted: Wanted, *, quiet: bool) -> None:
        self.wanted = wanted
        self._words = _eligible(wanted)
        self._quiet = quiet
        self.manifests: list[ManifestKey] = []
        self.blobs: list[BlobGone] = []

    def tell(self, event: Event) -> None:
        """Take note of one event."""
        if isinstance(event, ManifestKey):
            self.manifests.append(event)
            self._line(f"{event.repository}: manifest {self._words}: {event.digest}")
        elif isinstance(event, BlobGone):
            self.blobs.append(event)
            self._line(f"blob {self._words}: {event.digest} ({_bytes(event.size)}, {event.why})")
        else:
            self._line(f"{event.name}: {_many(event.manifests, 'manifest')}, {_many(event.tags, 'tag')}")

    def _line(self, words: str) -> None:
        if not self._quiet:
            click.echo(words)


def summary_lines(summary: Summary, wanted: Wanted) -> list[str]:
    """What a collection came to, in words."""
    would = "would be " if wanted.dry_run else ""
    lines = [
        f"{_many(summary.blobs_used, 'blob')} marked, {_many(summary.blobs_deleted, 'blob')} and"
        f" {_many(summary.manifests_deleted, 'manifest')} {_eligible(wanted)}, {_bytes(summary.bytes_freed)} {would}freed"
    ]
    within = f"within the last {_span(wanted.grace)} (--grace)"
    if summary.kept_manifests.count:
        words = f"{_many(summary.kept_manifests.count, 'untagged manifest')} kept: pushed {within}"
        lines.append(f"{words}; {_until(summary.kept_manifests)}")
    if summary.kept_blobs.count:
        words = f"{_many(summary.kept_blobs.count, 'unused blob')} ({_bytes(summary.kept_blobs.bytes)}) kept"
        lines.append(
            f"{words}: pushed, mounted or asked for {within}, so that a push under way finds what it was told is here;"
            f" {_until(summary.kept_blobs)}"
        )
    if summary.claimed:
        lines.append(f"{_many(summary.claimed, 'unused blob')} kept: being pushed at this moment")
    if summary.foreign:
        lines.append(
            f"{_many(summary.foreign, 'file')} left alone: the tree has links to them, but the database does not know them;"
            " stop the server and run holdfast import"
        )
    return lines


def as_object(summary: Summary, output: Output) -> dict[str, object]:
    """The same as JSON has it."""
    return {
        "dryRun": output.wanted.dry_run,
        "graceSeconds": output.wanted.grace / 1000,
        "repositories": summary.repositories,
        "manifests": summary.manifests,
        "blobsMarked": summary.blobs_used,
        "manifestsDeleted": [{"repository": one.repository, "digest": one.digest} for one in output.manifests],
        "blobsDeleted": [{"digest": one.digest, "size": one.size, "why": one.why} for one in output.blobs],
        "bytesFreed": summary.bytes_freed,
        "manifestsKept": _kept(summary.kept_manifests),
        "blobsKept": {"bytes": summary.kept_blobs.bytes, **_kept(summary.kept_blobs)},
        "claimed": summary.claimed,
        "foreign": summary.foreign,
    }


def _kept(kept: Kept) -> dict[str, object]:
    first, last = (_time(kept.first), _time(kept.last)) if kept.count else (None, None)
    return {"count": kept.count, "first": first, "last": last}


def _until(kept: Kept) -> str:
    last = f", the last at {_time(kept.last)}" if kept.last > kept.first + 1000 else ""
    return f"the first may go at {_time(kept.first)}{last}; with --grace 0s at once, if nobody is pushing"


def _eligible(wanted: Wanted) -> str:
    return "eligible for deletion" if wanted.dry_run else "deleted"


def _bytes(size: int) -> str:
    """A number of bytes, with three digits that count."""
    if size < 1000:
        return _many(size, "byte")
    amount, unit = float(size), ""
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if amount >= 999.5:
            amount, unit = amount / 1000, larger
    digits = 2 if amount < 9.995 else 1 if amount < 99.95 else 0
    return f"{amount:.{digits}f} {unit}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _time(milliseconds: int) -> str:
    """The time as RFC 3339 has it, rounded up to a second."""
    return datetime.fromtimestamp(-(-milliseconds // 1000), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(milliseconds: int) -> str:
    """A length of time as `--grace` takes it."""
    seconds, rest = divmod(milliseconds, 1000)
    if rest or not seconds:
        return f"{milliseconds / 1000:g}s"
    hours, minutes = divmod(seconds // 60, 60)
    parts = [(hours, "h"), (minutes, "m"), (seconds % 60, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number)
