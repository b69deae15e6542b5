"""docs/configuration.md, made from the declarations: `python -m holdfast.config.document > docs/configuration.md`."""

import sys
from collections.abc import Iterator

from holdfast.config.declared import REQUIRED, Listed, Setting, Table, declarations
from holdfast.config.foreign import FOREIGN, VERDICTS
from holdfast.config.merge import FILE
from holdfast.config.report import written
from holdfast.config.values import expected

_INTRODUCTION = """\
# Configuration

<!-- Made by `python -m holdfast.config.document > docs/configuration.md`; change the declarations, not this file. -->

Holdfast starts without any configuration: it listens on `:5000` and keeps everything in `./data`. What differs from
that is written in a file, in environment variables, or both; a variable wins over the file. The file and the variables
are those of `registry:2`, and the keys that only Holdfast has are marked so.

`holdfast config` prints every effective setting with where it came from, and every mistake in the file and the
variables at once; `holdfast config --json` prints the same for programs. `holdfast config --explain KEY` tells about
one key, section or variable: what it does, what may be written, and what it is now. Nothing is started by it.

## The file

The file is the argument of `holdfast serve CONFIG`, else what `REGISTRY_CONFIGURATION_PATH` names. It is YAML and
has to say `version: 0.1`:

```yaml
version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: /var/lib/registry
  delete:
    enabled: true
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
```

- A text is taken as it is written: a realm of `123` or `yes` is the text `123` or `yes`.
- A duration is written with its units, such as `30s`, `1m30s` or `168h`. A bare number means seconds, with a warning
  where the setting is one of `registry:2`, which takes it for nanoseconds.
- An unknown key in the sections of `registry:2` is ignored with a warning. It stops the start directly under
  `storage`, under `auth`, `http.tls` and the sections that only Holdfast has, since a misspelt name there would open
  the registry or move its files. Both name the line and the nearest known key.
- The file may have 1 MiB at most; anchors and merge keys work.

## Variables

The variable for a key is the key in capitals behind `REGISTRY_`, with `_` between its parts: `http.addr` is
`REGISTRY_HTTP_ADDR`. A section comes before what lies in it, and entries of a list in the order of their numbers.

- For a text, the variable is that text, and may be empty; where one of some words is wanted, empty means the default.
  Anything else is YAML: `true`, `500`, `[a, b]`, `{k: v}`; an empty variable is ignored with a warning.
- A variable for a section replaces the whole section: `REGISTRY_STORAGE=inmemory` drops everything that the file says
  under `storage`, and `REGISTRY_AUTH=htpasswd` everything under `auth`. Variables for what lies in it then add to it.
- A name below a mapping adds an entry, beside those of the file or the default:
  `REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin='["*"]'`. An entry whose name differs in case only is replaced.
- A number below a list is the place of an entry, from 0; the number after the last one adds an entry, and a gap stops
  the start. `REGISTRY_HEALTH_FILE_0_FILE=/down` is the first entry of `health.file`. `_2` comes before `_10`.
- `_FILE` behind the variable of a secret names a file that holds it, such as
  `REGISTRY_HTTP_SECRET_FILE=/run/secrets/http`. Line breaks at its end do not count. A file that is missing or empty
  stops the start, and so do both forms at once.
- `PORT`, by which hosting platforms say where to listen, counts where neither the file nor `REGISTRY_HTTP_ADDR` sets
  `http.addr`. Anything in it but a port stops the start then: with the default in its place, the platform would wait
  at a port where nobody answers. With `http.net: unix` it is not looked at.
- `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` count where `storage.s3` has neither `accesskey` nor
  `secretkey`.
- A variable that is no setting is ignored with a warning. Those that Kubernetes sets for a service called `registry`
  (`REGISTRY_PORT`, `REGISTRY_SERVICE_HOST`) are known, and harmless.
"""

_FOREIGN = """\
## Keys of registry:2 without a setting here

They are understood in the file and in variables. Where doing without one is safe, it is accepted with a warning; where
it would serve something else than was asked for, it stops the start.
"""


def document() -> str:
    """The whole document."""
    return "\n".join([_INTRODUCTION, *_sections(), _FOREIGN, *_foreign()]) + "\n"


def _sections() -> Iterator[str]:
    for name, child in declarations().children.items():
        yield f"## {name}\n"
        if isinstance(child, Setting):
            yield from _setting(child)
            continue
        if isinstance(child, Table):
            yield from _alternatives(child)
            yield from _children(child)


def _children(table: Table) -> Iterator[str]:
    for child in table.children.values():
        if isinstance(child, Setting):
            yield from _setting(child)
        elif isinstance(child, Listed):
            yield from _listed(child)
            yield from _children(child.item())
        else:
            yield from _children(child)


def _alternatives(table: Table) -> Iterator[str]:
    """What can be chosen, also where the choice itself has no settings."""
    for child in table.children.values():
        if isinstance(child, Table):
            yield from _alternatives(child)
    if table.alternatives:
        listed = ", ".join(f"`{table.key}.{name}`" for name in table.alternatives)
        without = f"`{table.key}.{table.struct.fallback}`" if table.struct.fallback else "none"
        several = len(table.alternatives) > 1
        yield f"At most one of: {listed}. Without any: {without}.\n" if several else f"{listed} may be left out.\n"


def _listed(listed: Listed) -> Iterator[str]:
    yield f"### {listed.key}\n"
    yield f"{listed.help} N stands for the place in the list, which counts from 0.\n"
    yield f"- Variable: `{listed.variable}`, or `{listed.variable}_N` for one section"
    yield f"- Type: {expected(listed)}"
    yield "- Default: `[]`"
    yield ""


def _setting(setting: Setting) -> Iterator[str]:
    yield f"### {setting.key}\n"
    owner = " Only Holdfast has this setting." if setting.marked("ours") else ""
    yield (
        setting.help
        + (owner or (" registry:2 does not have it, registry:3 has." if setting.marked("newer") else ""))
        + "\n"
    )
    suffix = "_NAME" if setting.is_map else "_N" if setting.is_list else ""
    form = f", or `{setting.variable}{suffix}` for one entry" if suffix else ""
    if setting.has_file:
        form = f", or `{setting.variable}_{FILE}` for a file that holds it"
    yield f"- Variable: `{setting.variable}`{form}"
    yield f"- Type: {expected(setting)}" + ("; secret" if setting.marked("secret") else "")
    default = "none; it must be given where its section is" if setting.default is REQUIRED else None
    yield f"- Default: {default or f'`{written(setting.default)}`'}"
    if setting.idle:
        yield f"- Accepted, without effect: {setting.idle}"
    for old, new in setting.retired.items():
        yield f"- `{old}` is accepted with a warning, and `{new}` is used"
    yield ""


def _foreign() -> Iterator[str]:
    yield "| Key | What happens | Why |"
    yield "| --- | --- | --- |"
    for key, foreign in FOREIGN.items():
        values = " or ".join(f"`{value}`" for value in sorted(foreign.harmless))
        exception = f" unless {values}" if values else ""
        yield f"| `{key}` | {VERDICTS[foreign.verdict]}{exception} | {foreign.words} |"


if __name__ == "__main__":
    sys.stdout.write(document())
