"""The real server under strace: what it asks the kernel to do, in which order."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.server import Server, wait_until

WRITES = {"write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg"}
SYNCS = {"fsync", "fdatasync"}
RENAMES = {"rename", "renameat", "renameat2"}
MAKES = {"mkdir", "mkdirat"}
CALLS = sorted(WRITES | SYNCS | RENAMES | MAKES)

_BEGUN = re.compile(r"(\d+) +(\w+)\((.*)")
_ENDED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_FILE = re.compile(r"^(?:AT_FDCWD<[^>]*>, )?\d+<([^>]*)>")
_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Call:
    """A system call: the lines of the trace where it began and ended, its name, its files, all that strace wrote, and if it succeeded."""

    began: int
    ended: int
    name: str
    paths: tuple[str, ...]
    text: str
    good: bool

    def writes(self, path: str, content: str = "") -> bool:
        """Whether it writes to a file whose path matches, something that contains `content`."""
        return self.name in WRITES and self.good and _matches(path, self.paths[0]) and content in self.text

    def syncs(self, path: str) -> bool:
        """Whether it makes a file or directory durable."""
        return self.name in SYNCS and self.good and _matches(path, self.paths[0])

    def renames_to(self, path: str) -> bool:
        """Whether it gives a file a name."""
        return self.name in RENAMES and self.good and _matches(path, self.paths[1])

    def answers(self, status: int) -> bool:
        """Whether it sends an HTTP answer with this status."""
        return self.writes(r"socket:.*|TCP.*", f"HTTP/1.1 {status} ")

    def __str__(self) -> str:
        return f"{self.began}-{self.ended} {self.text[:240]}"


def _matches(pattern: str, path: str) -> bool:
    return re.fullmatch(f"(?:.*/)?(?:{pattern})", path) is not None


def parse(lines: Iterable[str]) -> list[Call]:
    """The calls in a trace that `strace -f -y` wrote, in the order in which they began; what has not ended is left out."""
    found: list[Call] = []
    open_calls: dict[str, tuple[int, str, str]] = {}
    for number, line in enumerate(lines):
        if match := _BEGUN.match(line):
            process, name, rest = match.groups()
            open_calls[process] = (number, name, rest)
            if not rest.endswith("<unfinished ...>"):
                found.append(_call(*open_calls.pop(process), "", number))
        elif (match := _ENDED.match(line)) and match[1] in open_calls:
            found.append(_call(*open_calls.pop(match[1]), match[3], number))
    return sorted(found, key=lambda call: call.began)


def _call(began: int, name: str, head: str, tail: str, ended: int) -> Call:
    text = head.removesuffix("<unfinished ...>") + tail
    file = _FILE.match(text)
    paths = (file[1],) if file else tuple(_NAME.findall(text)) or ("",)
    return Call(began, ended, name, paths, f"{name}({text}", not re.search(r"= -1 E\w+", text[-200:]))


Condition = Callable[[Call], bool]


@dataclass(frozen=True)
class Step:
    """Something that must have happened, in one call for each of the conditions, after all of the step before."""

    what: str
    conditions: tuple[Condition, ...]


def step(what: str, *conditions: Condition) -> Step:
    """Make a step."""
    return Step(what, conditions)


def check(calls: Sequence[Call], steps: Sequence[Step]) -> None:
    """Raise `AssertionError`, showing the trace, unless each step began when the one before had ended."""
    after = -1
    done: list[str] = []
    for each in steps:
        found = [next((c for c in calls if c.began > after and condition(c)), None) for condition in each.conditions]
        if None in found:
            shown = "\n".join(map(str, calls))
            raise AssertionError(f"not in order: {each.what}\nafter: {' -> '.join(done)} (line {after})\n{shown}")
        after = max(call.ended for call in found if call)
        done.append(each.what)


class TracedServer(Server):
    """A server with one worker, under strace.

    `more`: further options of strace, such as an injected fault. Signals go to the server, not to strace.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str], more: Sequence[str] = ()) -> None:
        self.trace = directory / "trace"
        # The filter in the kernel, which leaves all other calls at full speed, does not go together with injected faults.
        strace = (
            *("strace", "-f", "-y", "-s", "5000", "-o", str(self.trace), *(() if more else ("--seccomp-bpf",))),
            *("-e", f"trace={','.join(CALLS)}", *more),
        )
        super().__init__(directory, settings, command=(*strace, sys.executable, "-m", "holdfast", "serve"))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server's main process."""
        os.kill(self.children()[0], number)

    def lines(self) -> list[str]:
        """The trace so far."""
        return self.trace.read_text("utf-8", "replace").splitlines() if self.trace.exists() else []

    def position(self) -> int:
        """Where the trace ends now."""
        return len(self.lines())

    def answered(self, since: int, count: int, status: int = 201) -> list[Call]:
        """The calls since a position, as soon as `count` answers with a status are among them."""
        found: list[Call] = []

        def enough() -> bool:
            found[:] = parse(self.lines()[since:])
            return sum(call.answers(status) for call in found) >= count

        wait_until(enough, f"{count} answers {status} in the trace")
        return found
