"""Where Redis is and how to get in: the options of every command, and what they mean together.

What a command's options do not say, those before the command say; what they do not, the
environment; then the file of --config; and then the default.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer

from asynq_py.cli.config_file import read_config, read_secret
from asynq_py.connection import RedisConfig

DEFAULT_URL = "redis://localhost:6379/0"
#: The only way but a file to give a password: arguments can be seen by everybody.
PASSWORD_VARIABLE = "ASYNQ_REDIS_PASSWORD"
#: Under which heading the help has these options.
PANEL = "Where Redis is"

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., object])
#: What one source says, by the names of the options (and "password").
Layer = dict[str, Any]

#: The settings by the names of their options: type, what stands for the value, help.
_SETTINGS: dict[str, tuple[type, str | None, str]] = {
    "redis": (str, "URL", f"By default {DEFAULT_URL}."),
    "config": (Path, "FILE.toml", "A file that says it."),
    "username": (str, "NAME", "Who asks."),
    "password_file": (Path, "FILE", "What the password is read from."),
    "tls": (bool, None, "Speak TLS; rediss:// does, too."),
    "tls_ca": (Path, "FILE.pem", "Authorities to trust, not the system's."),
    "tls_cert": (Path, "FILE.pem", "The certificate to show."),
    "tls_key": (Path, "FILE.pem", "Its key."),
    "no_tls_hostname_check": (bool, None, "Let Redis' certificate name another host."),
}
#: The variables that are not called ASYNQ_REDIS_ and the setting.
_VARIABLES = {"redis": "ASYNQ_REDIS_URL", "config": "ASYNQ_CONFIG"}


def connected(command: Callable[Concatenate[RedisConfig, P], int]) -> Callable[..., int]:
    """Gives a command the options that say where Redis is; it gets what they mean."""
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    context = inspect.Parameter(
        "_context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context
    )

    @wraps(command)
    def with_options(*args: P.args, **kwargs: P.kwargs) -> int:
        # P knows nothing of the options that were added, so here the types end.
        given: dict[str, Any] = dict(kwargs)
        where = redis_config(given.pop("_context"))
        return command(where, *args, **_without_settings(given))

    return _declare(with_options, [*own, context, *_options(by_environment=True)])


def commands_of(help: str) -> typer.Typer:
    """A group of commands; the options may also stand between its name and theirs."""
    app = typer.Typer(help=help, no_args_is_help=True)
    app.callback()(before_commands(lambda: None, hidden=True))
    return app


def before_commands(callback: Callable[..., None], *, hidden: bool = False) -> Callable[..., None]:
    """Gives a group the options, too, for whichever of its commands follows."""
    own = inspect.signature(callback, eval_str=True).parameters.values()

    # Any: of options of all types.
    @wraps(callback)
    def with_options(**kwargs: Any) -> None:  # noqa: ANN401
        callback(**_without_settings(kwargs))

    return _declare(with_options, [*own, *_options(by_environment=False, hidden=hidden)])


def _options(*, by_environment: bool, hidden: bool = False) -> list[inspect.Parameter]:
    """The options as parameters of a function; what reads variables is the command alone."""
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                kind | None,
                typer.Option(
                    f"--{name.replace('_', '-')}",
                    envvar=_variable(name) if by_environment else None,
                    # Else every option takes three lines of the help.
                    show_envvar=False,
                    help=help,
                    metavar=metavar,
                    show_default=False,
                    hidden=hidden,
                    rich_help_panel=PANEL,
                ),
            ],
        )
        for name, (kind, metavar, help) in _SETTINGS.items()
    ]


def _variable(name: str) -> str:
    return _VARIABLES.get(name, f"ASYNQ_REDIS_{name.upper()}")


def _without_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in _SETTINGS}


def _declare(function: F, parameters: list[inspect.Parameter]) -> F:
    """Has typer see other parameters than a function's own."""
    signature = inspect.signature(function, eval_str=True)
    returns = signature.return_annotation
    # inspect looks here first; it stands in no type of a function.
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": returns}
    return function


def redis_config(context: typer.Context) -> RedisConfig:
    """Where Redis is: by a command's options, those before it, the environment and the file.

    Raises:
        ConfigError: The URL or a file cannot be read.
    """
    layers: list[Layer] = []
    by_environment: Layer = {}
    place: Any = context
    while place is not None:
        by_option: Layer = {}
        for name in _SETTINGS:
            value = place.params.get(name)
            if value is not None:
                source = place.get_parameter_source(name)
                is_given = source is not None and source.name == "COMMANDLINE"
                (by_option if is_given else by_environment)[name] = value
        layers.append(by_option)
        place = place.parent
    layers.append(by_environment)
    for layer in layers:
        if "password_file" in layer:
            layer["password"] = read_secret(Path(layer["password_file"]))
    if os.environ.get(PASSWORD_VARIABLE):
        by_environment["password"] = os.environ[PASSWORD_VARIABLE]
    file = next((layer["config"] for layer in layers if "config" in layer), None)
    return _merged([*layers, read_config(Path(file)) if file else {}])


def _merged(layers: list[Layer]) -> RedisConfig:
    """What all layers say together, the first of them first."""
    origin = next((layer for layer in layers if "redis" in layer), {"redis": DEFAULT_URL})
    config = RedisConfig.from_url(origin["redis"])

    # Any: each setting has its own type.
    def said(name: str, by_url: str | None = None) -> Any:  # noqa: ANN401
        for layer in layers:
            if name in layer:
                return layer[name]
            # A URL's own user and password count as much as the URL.
            if by_url is not None and layer is origin:
                return by_url
        return by_url

    files: Mapping[str, str | None] = {
        f"{name}_file": None if (path := said(name)) is None else str(path)
        for name in ("tls_ca", "tls_cert", "tls_key")
    }
    unchecked = bool(said("no_tls_hostname_check"))
    tls = said("tls")
    if tls is None:
        # Who says how to speak it wants it spoken.
        tls = config.tls or unchecked or any(files.values())
    # The credentials in a URL of sentinels are theirs; these are Redis' own.
    return replace(
        config,
        username=said("username", config.username),
        password=said("password", config.password),
        tls=tls,
        tls_check_hostname=not unchecked,
        **files,  # type: ignore[arg-type]  # mypy takes it for all of the fields
    )
