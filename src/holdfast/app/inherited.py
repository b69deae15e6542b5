"""Open files that worker processes share with the main process."""

from multiprocessing import reduction


class InheritedFile:
    """An open file that is handed to a new process together with an object that holds it."""

    def __init__(self, file: int) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object]]:
        return _received, (reduction.DupFd(self.file),)


def _received(duplicate: "reduction.DupFd") -> InheritedFile:  # type: ignore[valid-type]
    return InheritedFile(duplicate.detach())  # type: ignore[attr-defined]
