"""Where Redis is and how to get in: the options of every command, and what they mean together.

What a command's options do not say, the environment says; what it does not, the file of
--config; and then the default.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from asynq_py.cli.config_file import read_config, read_secret
from asynq_py.connection import RedisConfig

DEFAULT_URL = "redis://localhost:6379/0"
#: The only way but a file to give a password: arguments can be seen by everybody.
PASSWORD_VARIABLE = "ASYNQ_REDIS_PASSWORD"
#: Under which heading the help has these options.
PANEL = "Where Redis is"

P = ParamSpec("P")
#: What one source says, by the names of the options (and "password").
Layer = dict[str, Any]


# Any, as typer.Option itself is: what it gives stands where a parameter's default does.
def _option(*names: str, env: str, help: str, metavar: str | None = None) -> Any:  # noqa: ANN401
    return typer.Option(
        *names,
        envvar=env,
        # Else every option takes three lines of the help.
        show_envvar=False,
        help=help,
        metavar=metavar,
        show_default=False,
        rich_help_panel=PANEL,
    )


_OPTIONS: dict[str, Any] = {
    "redis": Annotated[
        str | None,
        _option("--redis", env="ASYNQ_REDIS_URL", help=f"By default {DEFAULT_URL}.", metavar="URL"),
    ],
    "config": Annotated[
        Path | None,
        _option("--config", env="ASYNQ_CONFIG", help="A file that says it.", metavar="FILE.toml"),
    ],
    "username": Annotated[
        str | None,
        _option("--username", env="ASYNQ_REDIS_USERNAME", help="Who asks.", metavar="NAME"),
    ],
    "password_file": Annotated[
        Path | None,
        _option(
            "--password-file",
            env="ASYNQ_REDIS_PASSWORD_FILE",
            help="What the password is read from.",
            metavar="FILE",
        ),
    ],
    "tls": Annotated[
        bool | None,
        _option("--tls", env="ASYNQ_REDIS_TLS", help="Speak TLS; rediss:// does, too."),
    ],
    "tls_ca": Annotated[
        Path | None,
        _option(
            "--tls-ca",
            env="ASYNQ_REDIS_TLS_CA",
            help="Authorities to trust, not the system's.",
            metavar="FILE.pem",
        ),
    ],
    "tls_cert": Annotated[
        Path | None,
        _option(
            "--tls-cert",
            env="ASYNQ_REDIS_TLS_CERT",
            help="The certificate to show.",
            metavar="FILE.pem",
        ),
    ],
    "tls_key": Annotated[
        Path | None,
        _option("--tls-key", env="ASYNQ_REDIS_TLS_KEY", help="Its key.", metavar="FILE.pem"),
    ],
    "no_tls_hostname_check": Annotated[
        bool | None,
        _option(
            "--no-tls-hostname-check",
            env="ASYNQ_REDIS_NO_TLS_HOSTNAME_CHECK",
            help="Let Redis' certificate name another host.",
        ),
    ],
}


def connected(command: Callable[Concatenate[RedisConfig, P], int]) -> Callable[..., int]:
    """Gives a command the options that say where Redis is; it gets what they mean."""
    signature = inspect.signature(command, eval_str=True)
    _, *own = signature.parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    context = inspect.Parameter("_context", keyword, annotation=typer.Context)
    added = [
        inspect.Parameter(name, keyword, default=None, annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]

    @wraps(command)
    def with_options(*args: P.args, **kwargs: P.kwargs) -> int:
        # P knows nothing of the options that were added, so here the types end.
        given = dict(kwargs)
        where = redis_config(given.pop("_context"))  # type: ignore[arg-type]
        for name in _OPTIONS:
            del given[name]
        return command(where, *args, **given)  # type: ignore[arg-type]

    parameters = [*own, context, *added]
    with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": int}
    return with_options


def redis_config(context: typer.Context) -> RedisConfig:
    """Where Redis is, by a command's options, the environment and the file.

    Raises:
        ConfigError: The URL or a file cannot be read.
    """
    by_option: Layer = {}
    by_environment: Layer = {}
    for name in _OPTIONS:
        value = context.params.get(name)
        if value is not None:
            source = context.get_parameter_source(name)
            is_given = source is not None and source.name == "COMMANDLINE"
            (by_option if is_given else by_environment)[name] = value
    for layer in (by_option, by_environment):
        if "password_file" in layer:
            layer["password"] = read_secret(Path(layer["password_file"]))
    if os.environ.get(PASSWORD_VARIABLE):
        by_environment["password"] = os.environ[PASSWORD_VARIABLE]
    file = by_option.get("config") or by_environment.get("config")
    return _merged([by_option, by_environment, read_config(Path(file)) if file else {}])


def _merged(layers: list[Layer]) -> RedisConfig:
    """What all layers say together, the first of them first."""
    origin = next((layer for layer in layers if "redis" in layer), {"redis": DEFAULT_URL})
    config = RedisConfig.from_url(origin["redis"])

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
        **files,  # type: ignore[arg-type]
    )
