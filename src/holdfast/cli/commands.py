"""How the command line is read: as click has it, and as registry:2's program and image have it."""

import click


class Commands(click.Group):
    """A group of commands that also understands `help [COMMAND]` and a bare configuration file, which means `serve`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Bring registry:2's forms into click's."""
        return super().parse_args(ctx, _in_our_form(args))

    def understands(self, word: str) -> bool:
        """Whether a command line may begin with `word`."""
        return word in self.commands or word == "help" or word.startswith("-") or _is_configuration(word)


def _in_our_form(args: list[str]) -> list[str]:
    if args[:1] == ["help"]:
        return [*args[1:2], "--help"]
    if args and _is_configuration(args[0]):
        return ["serve", *args]
    return args


def _is_configuration(word: str) -> bool:
    return word.endswith((".yml", ".yaml"))
