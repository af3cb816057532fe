"""How a service's process begins and ends: settings first, then its coroutine; a failure that has a name ends in one line that says it.

People and supervisors read the last line of a log. What went before it is there too, but a stack trace is kept for what nobody foresaw.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec

from common.database import AWAY
from common.errors import VerbatimError
from common.lifecycle import ServiceFailed
from common.settings import SettingsError, load

T = TypeVar("T", bound=msgspec.Struct)


def settings(name: str, kind: type[T]) -> T:
    """The service's settings from the environment; exits with every problem on a line of its own."""
    try:
        return load(kind, os.environ)
    except SettingsError as error:
        sys.exit(f"{name} cannot start:\n{error}")


def run(name: str, service: Coroutine[Any, Any, None]) -> None:
    """Run the service to its end; exits with a sentence when it failed.

    What has been imported by now stays: the garbage collector, which would go through all of it again and again while a service makes many
    small things, leaves it alone.
    """
    gc.freeze()
    try:
        asyncio.run(service)
    except ServiceFailed as error:
        sys.exit(f"{name} stopped: {error}")
    except VerbatimError as error:
        sys.exit(f"{name} cannot start: {error.message}")
    except AWAY as error:
        sys.exit(f"{name} cannot start: the database cannot be reached at DATABASE_URL ({type(error).__name__}).")
