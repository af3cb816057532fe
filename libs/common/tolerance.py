"""One thing that cannot be dealt with must not keep the others from it; but when whoever is asked is away, something larger is wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from common.errors import Refused, TransientError, VerbatimError

T = TypeVar("T")

log = structlog.get_logger(__name__)


async def attempt_each(things: Sequence[T], action: Callable[[T], Awaitable[None]], *, at_once: int) -> list[T]:
    """Those for which `action` succeeded, `at_once` of them at a time. Failures are logged.

    Raises one of them when not one thing met with an answer: neither was dealt with, nor was refused or can never be.
    """
    room = asyncio.Semaphore(at_once)

    async def attempt(thing: T) -> VerbatimError | None:
        async with room:
            try:
                await action(thing)
            except VerbatimError as error:
                return error
            return None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(thing)) for thing in things]
    errors = [error for task in tasks if (error := task.result()) is not None]
    away = [error for error in errors if isinstance(error, TransientError) and not isinstance(error, Refused)]
    if away and len(away) == len(things):
        raise away[0]
    for error in errors:
        log.warning("left for another time", code=error.code, error=error.message)
    return [thing for thing, task in zip(things, tasks, strict=True) if task.result() is None]
