#!/opt/holdfast/bin/python3 -P
"""What a container runs: /entrypoint.sh of registry:2's image, without a shell.

A command of Holdfast, its options or a configuration file are for Holdfast; anything else is a program to run in its
place, such as `sh`. Nothing at all means `serve`.
"""

import os
import sys


def main() -> None:
    """Become what the arguments name."""
    from holdfast.cli.main import main as registry  # noqa: PLC0415 - a worker process loads this file, too

    words = sys.argv[1:] or ["serve"]
    if not registry.understands(words[0]):
        try:
            os.execvp(words[0], words)  # noqa: S606 - the program that the administrator named
        except FileNotFoundError:
            pass  # the error message that follows lists what there is
        except OSError as error:
            sys.exit(f"cannot run {words[0]}: {error.strerror}")
    registry(words, prog_name="registry")


if __name__ == "__main__":
    main()
