"""Writes docs/cli.md: what the commands say of themselves, and a template with the rest.

``python -m asynq_py.cli.docs TEMPLATE`` prints it. The template has a part for the beginning
("%% begin"), one for the end ("%% end"), and examples by the names of commands ("%% task ls").
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import typer

from asynq_py.cli.app import app
from asynq_py.cli.where import PANEL, PASSWORD_VARIABLE


def document(template: str) -> str:
    """The whole of docs/cli.md.

    Raises:
        ValueError: The template has a part for a command that there is not.
    """
    parts = _parts(template)
    root = typer.main.get_command(app)
    commands = dict(_commands(root, ""))
    begin, end = parts.pop("begin"), parts.pop("end")
    if unknown := parts.keys() - commands.keys():
        raise ValueError(f"there are no commands {', '.join(sorted(unknown))}")
    shown = [begin, _where(next(iter(commands.values()))), "## Commands\n"]
    first: dict[str, str] = {}
    for name, command in commands.items():
        usage, body = _command(name, command)
        same = first.setdefault(body, name)
        shown.append(usage + (body if same == name else f"The same as `{same}`.\n"))
        if name in parts:
            shown.append(parts[name])
    return "\n".join([*shown, end])


def _parts(template: str) -> dict[str, str]:
    pieces = template.split("%% ")[1:]
    named = (piece.partition("\n") for piece in pieces)
    return {name: text.strip() + "\n" for name, _, text in named}


#: A command, or a parameter of one. Any, since typer brings its own click, whose classes have
#: moved between releases.
Click: TypeAlias = Any


def _commands(command: Click, name: str) -> Iterator[tuple[str, Click]]:
    """Every command that is no group and not hidden."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for part, sub in command.commands.items():
        if not sub.hidden:
            yield from _commands(sub, f"{name} {part}".strip())


def _where(command: Click) -> str:
    """The options that every command has, by one that has them."""
    options = [
        option for option in command.params if _panel(option) == PANEL and option.name != "config"
    ]
    keys = ["url" if option.name == "redis" else option.name for option in options]
    rows = [
        f"| {_names(option)} | `{option.envvar}` | `{key}` | {option.help} |"
        for option, key in zip(options, keys, strict=True)
    ]
    rows.insert(1, f"| | `{PASSWORD_VARIABLE}` | `password` | The password itself. |")
    head = ["| Option | Variable | Key in `[redis]` | |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def _command(name: str, command: Click) -> tuple[str, str]:
    """How a command is called, and what it says of itself."""
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [
        param
        for param in command.params
        if param.param_type_name == "option"
        and _panel(param) != PANEL
        and param.name != "help"
        and not param.hidden
    ]
    usage = ["asynq-py", *name.split()]
    usage += [p.metavar if p.required else f"[{p.metavar}]" for p in arguments]
    called = " ".join(usage) + (" [OPTIONS]" if options else "")
    lines = [" ".join((command.help or "").split()), ""]
    rows = [f"| `{p.metavar}` | {_cell(p.help)} |" for p in arguments]
    rows += [f"| {_names(p)} | {_cell(p.help)}{_default(p)} |" for p in options]
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    return f"### {name}\n\n```\n{called}\n```\n\n", "\n".join(lines)


def _panel(param: Click) -> str | None:
    return getattr(param, "rich_help_panel", None)


def _names(option: Click) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    value = _value(option)
    return f"{names} `{value}`" if value else names


def _value(option: Click) -> str:
    """What follows an option."""
    if option.is_flag:
        return ""
    if option.metavar:
        return str(option.metavar).replace("|", "\\|")
    if isinstance(option.default, Enum):
        return "\\|".join(member.value for member in type(option.default))
    return "N"


def _default(option: Click) -> str:
    default = option.default.value if isinstance(option.default, Enum) else option.default
    if option.is_flag or default in (None, [], ()):
        return ""
    return (
        f" By default `{default:g}`." if isinstance(default, float) else f" By default `{default}`."
    )


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document(Path(sys.argv[1]).read_text()))
