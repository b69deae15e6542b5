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
docker exec registry holdfast doctor                # in the container, with its settings
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
time, to a repository `holdfast-doctor/<random>` (`holdfast-doctor/trial` where it is another registry that answers), which is
deleted at the end. As with every deleted image, its bytes stay on the disk until `holdfast garbage-collect`. Where deleting is off
nothing is pushed, and an image that is there already is pulled. To compare clocks, a file without a name is made for a moment
beside the database. In a bucket, an object of 16 bytes is written and deleted; `--no-push` leaves it out.

## What clients say, and which check explains it

{symptoms}

## The checks
"""

SYMPTOMS = (
    ("http: server gave HTTP response to HTTPS client", "answer"),
    ("x509: certificate relies on legacy Common Name field, use SANs instead", "certificate"),
    ("x509: certificate is valid for ..., not ...", "certificate"),
    ("x509: certificate signed by unknown authority", "trust"),
    ("x509: certificate has expired or is not yet valid", "trust"),
    ("413 Request Entity Too Large", "bodies"),
    ("411 Length Required", "bodies"),
    ("no basic auth credentials; 401 Unauthorized after docker login", "credentials"),
    ("blob upload unknown to registry", "location"),
    ("dial tcp: lookup ... no such host, or connection refused, in the middle of a push", "location"),
    ("405 UNSUPPORTED when something is deleted", "deleting"),
    ("507, no room left", "space"),
    ("everything is gone after the container was made anew", "volume"),
    ("a user interface says CORS, or shows nothing", "browsers"),
    ("the server says: another server uses this directory", "servers"),
    ("permission denied in the server's log", "rights"),
    ("502 Bad Gateway, or a web page in the middle of an error", "answer"),
)
"""What people see, and the check that tells them why."""


def page() -> str:
    """The whole page."""
    symptoms = ["| what is seen | check |", "| --- | --- |", *(f"| {seen} | {check} |" for seen, check in SYMPTOMS)]
    lines = [_HEAD.format(symptoms="\n".join(symptoms))]
    for check in CHECKS:
        lines += [f"### {check.name}", "", check.looks_at + " It recognises:", ""]
        lines += [*(f"- {mistake}" for mistake in check.recognises), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
