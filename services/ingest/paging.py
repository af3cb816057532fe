"""Lists a page at a time, newest first: what each of them is asked by, and where a page is cut.

A page begins where the one before ended, whatever has come or gone since; a query fetches one row more than a page has, which tells whether
there is another.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec
from asyncpg import Record

from common.jobs.listing import Place
from services.ingest.query import invalid

T = TypeVar("T")


class Paged(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a list's query that is the same for all."""

    cursor: Annotated[str, msgspec.Meta(description="`next_cursor` of the page before")] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200, description="How many there are in a page")] = 50

    @property
    def after(self) -> Place | None:
        """Where the page before ended. Raises `Problem`."""
        try:
            return None if self.cursor is None else Place.decode(self.cursor)
        except ValueError as error:
            raise invalid("cursor", str(error)) from None

    @property
    def rows(self) -> int:
        """How many to fetch."""
        return self.limit + 1

    def cut(self, found: Sequence[T], place: Callable[[T], Place]) -> tuple[Sequence[T], str | None]:
        """The page of what was fetched, and the cursor of the next one if there is one."""
        page = found[: self.limit]
        return page, place(page[-1]).encode() if len(found) > self.limit else None


def by(moment: str) -> Callable[[Record], Place]:
    """The place of a row in a list that goes by its column `moment`."""
    return lambda row: Place(row[moment], row["id"])
