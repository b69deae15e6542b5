"""An examination in this process, and what tests ask of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.server import Server
from holdfast.app.mounts import in_container
from holdfast.config.load import ConfigurationError, load
from holdfast.doctor.case import Case
from holdfast.doctor.examine import examine, healthy
from holdfast.doctor.findings import Finding
from holdfast.doctor.reach import Credentials

ANN = Credentials("ann", "her password")
ANN_LINE = "ann:$2y$10$VD2yLF1/Qbx.7U/OweTkne9xc/1d88XA36DVGCeAfH1lhHCTWIm62\n"


class Report:
    """What the doctor found."""

    def __init__(self, case: Case) -> None:
        self._results = list(examine(case))
        self.healthy = healthy(self._results)

    def __iter__(self) -> Iterator[tuple[str, Finding]]:
        return ((result.check.name, finding) for result in self._results for finding in result.findings)

    def __str__(self) -> str:
        return "\n".join(f"{name}: {one.verdict}: {one.explanation} -> {one.remedy}" for name, one in self)

    def complaints(self) -> list[str]:
        """Everything that is not good, except that tests may run as root, in a container, on a disk without volume."""
        ours = {"user", "volume"} if in_container() else set()
        return [
            f"{name}: {one.verdict}: {one.explanation}"
            for name, one in self
            if one.verdict in {"problem", "advice"} or "could not be looked at" in one.explanation
            if name not in ours
        ]

    def says(self, check: str, verdict: str, *words: str) -> None:
        """Raise unless one finding of this check has the verdict, and all the words in explanation and remedy, which is there."""
        for name, one in self:
            text = f"{one.explanation} {one.remedy}"
            if (name, one.verdict) == (check, verdict) and all(word in text for word in words):
                assert one.remedy or verdict in {"ok", "skipped"}, one
                assert self.healthy or verdict != "advice" or any(o.verdict == "problem" for _, o in self)
                assert not (self.healthy and verdict == "problem")
                return
        raise AssertionError(f"no {verdict} of {check} with {words} in:\n{self}")


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings by key as REGISTRY_* variables."""
    return {"REGISTRY_" + key.upper().replace(".", "_"): value for key, value in settings.items()}


def report(settings: Mapping[str, str] | Server | None, **case: Any) -> Report:
    """Examine settings, a server with its settings, or an address alone; `case` are further fields of the case."""
    given = settings.settings if isinstance(settings, Server) else settings
    if given is None:
        return Report(Case(**case))
    try:
        loaded = load(None, variables(given))
    except ConfigurationError as error:
        return Report(Case(None, tuple(error.messages), tuple(error.warnings), **case))
    return Report(Case(loaded, (), loaded.warnings, **case))


def resting(root: Path, **settings: str) -> dict[str, str]:
    """Settings of a server that does not run, on a directory of its own; `__` in a name stands for a dot."""
    return {
        "http.addr": "127.0.0.1:1",
        "storage.filesystem.rootdirectory": str(root),
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
