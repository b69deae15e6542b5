"""Small text files: the configuration and secrets."""

from pathlib import Path

from holdfast.config.tree import MAXIMUM_SIZE


class FileProblem(Exception):
    """The file cannot be used; the text says why and what to do."""


def read_file(path: str) -> str:
    """The UTF-8 text of a file of at most MAXIMUM_SIZE bytes. Raises FileProblem."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAXIMUM_SIZE + 1)
    except IsADirectoryError:
        raise FileProblem(
            "it is a directory, not a file; Docker makes one where a file to be mounted does not exist"
        ) from None
    except FileNotFoundError:
        raise FileProblem("there is no such file; correct the path") from None
    except PermissionError:
        raise FileProblem("it may not be read by this user; change its mode or owner") from None
    except (OSError, ValueError) as error:
        raise FileProblem(f"it cannot be read: {error}") from None
    if len(content) > MAXIMUM_SIZE:
        raise FileProblem(f"it is larger than {MAXIMUM_SIZE} bytes, which no configuration is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileProblem(f"line {line} is not UTF-8 text") from None
