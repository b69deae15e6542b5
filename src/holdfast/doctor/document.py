"""docs/doctor.md, made from the table of checks: `python -m holdfast.doctor.document > docs/doctor.md`."""

import sys

from holdfast.doctor.examine import CHECKS

_HEAD = """# holdfast doctor

`holdfast doctor` looks at a set-up from both ends, the registry's own machine and the address that clients use, and says what to
fix. Made from the table of checks; do not edit.

```sh
holdfast doctor                                     # the settings that the variables give
holdfast doctor /etc/holdfast/config.yml --url https://registry.example.com
echo "$PASSWORD" | holdfast doctor --url https://registry.example.com --user ann --password-stdin
docker exec registry holdfast doctor /etc/docker/registry/config.yml
```

It runs beside a running server or without one, reads the file `CONFIG` and the `REGISTRY_*` variables as the server does, and
changes nothing in them. On a client's machine, without a configuration, `--url` alone is looked at.

| option | effect |
| --- | --- |
| `--url URL` | The address that clients use, in front of `/v2/`; `http.host` unless given. |
| `--user NAME` | Sign in as this user. The password is asked for, or read with `--password-stdin`. |
| `--password-stdin` | Read the password from standard input. |
| `--no-push` | Send nothing: no uploads are begun, no image is pushed. |
| `--json` | Print one JSON object, for programs. |

The password is never shown, and sent only where the certificate is trusted, or over plain HTTP where that is the address.

Each line is one of `ok`, `advice` (it works, and could be better), `problem` (it has to be fixed) and `skipped`, and says what to do.
The exit status is 0 if there is no problem, 1 if there is one, and 2 if nothing could be looked at, as with wrong options.

## What it leaves behind

Uploads that are begun for trying are given up at once. An image is pushed only where deleting is switched on: the same 4 KiB each
time, to a repository `holdfast-doctor/<random>`, which is deleted at the end. As with every deleted image, its bytes stay on the
disk until `holdfast garbage-collect`. Where deleting is off nothing is pushed, and an image that is there already is pulled.

## The checks
"""


def page() -> str:
    """The whole page."""
    lines = [_HEAD]
    for check in CHECKS:
        lines += [f"### {check.name}", "", check.looks_at + " It recognises:", ""]
        lines += [*(f"- {mistake}" for mistake in check.recognises), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
