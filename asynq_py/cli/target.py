"""What MODULE:NAME names: a handler in a user's module, and how its server is to behave."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from types import ModuleType, TracebackType
from typing import Any

import typer

from asynq_py.errors import ConfigError
from asynq_py.server.config import ServerConfig
from asynq_py.server.handlers import Handler
from asynq_py.server.mux import ServeMux

#: Where a module's settings are looked for.
CONFIG = "config"


def load(target: str, config_name: str | None) -> tuple[ServeMux | Handler, ServerConfig]:
    """Imports the module, from the current directory, too.

    Args:
        target: MODULE:NAME.
        config_name: What the module calls its ServerConfig. None for "config", if it has one.

    Raises:
        BadParameter: It names no handler, or no settings.
        ConfigError: The module raised; a traceback is on standard error.
    """
    module_name, colon, name = target.partition(":")
    if module_name.endswith(".py") or os.sep in module_name:
        path = module_name.removesuffix(".py").strip(os.sep + os.curdir)
        rather = f"{path.replace(os.sep, '.')}:{name or 'mux'}"
        raise typer.BadParameter(f"{target!r} is a file; name it as import does: {rather}")
    if not (module_name and colon and name):
        raise typer.BadParameter(f"{target!r} is not like MODULE:NAME, such as app.tasks:mux")
    module = _import(module_name)
    handler = _attribute(module, name)
    if not callable(handler) and not isinstance(handler, ServeMux):
        raise typer.BadParameter(f"{target} is no ServeMux or handler, but {_kind(handler)}")
    if config_name is None:
        config = getattr(module, CONFIG, None)
        return handler, config if isinstance(config, ServerConfig) else ServerConfig()
    config = _attribute(module, config_name)
    if not isinstance(config, ServerConfig):
        raise typer.BadParameter(
            f"{module_name}:{config_name} is no ServerConfig, but {_kind(config)}"
        )
    return handler, config


def _import(name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Or one of those that it imports is missing.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise typer.BadParameter(
                f"there is no module {error.name!r} in {here} or on Python's path"
            ) from None
        raise _failed(name, error) from None
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from None


def _failed(name: str, error: BaseException) -> ConfigError:
    """Shows where a module raised, from its own first line on."""
    frames: TracebackType | None = error.__traceback__
    own = (__file__, importlib.__file__)
    while frames is not None and (
        frames.tb_frame.f_code.co_filename in own
        or frames.tb_frame.f_code.co_filename.startswith("<frozen importlib")
    ):
        frames = frames.tb_next
    traceback.print_exception(error.with_traceback(frames))
    return ConfigError(f"{name} cannot be imported: {type(error).__name__}")


# An attribute of a user's module can be anything.
def _attribute(module: ModuleType, name: str) -> Any:  # noqa: ANN401
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            there = [key for key, value in vars(module).items() if isinstance(value, ServeMux)]
            hint = f"; a ServeMux there is {', '.join(there)}" if there else ""
            raise typer.BadParameter(f"{module.__name__} has no {name!r}{hint}") from None
    return found


def _kind(thing: object) -> str:
    return f"of type {type(thing).__name__}"
