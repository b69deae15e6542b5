"""The program's commands, run as people run them."""

import os
import subprocess
import sys


def variables() -> dict[str, str]:
    """The environment without settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}


def line(*words: object) -> list[str]:
    """The command line of a command of the program."""
    return [sys.executable, "-m", "holdfast", *map(str, words)]


def run(*words: object, status: int = 0, text: str = "", **settings: str) -> str:
    """Run a command with `text` on its standard input and REGISTRY_* variables; gives all that it prints. Raises `AssertionError` for another
    exit status.
    """
    environment = variables() | {f"REGISTRY_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        line(*words), input=text, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
