"""Queries with the conditions that were asked for, and only those: so that each has its index, whatever the plan is made for.

A condition that is always there and says `$2 is null or …` is none that a plan for all values could look up. Each is a query of the `.sql`
file, with `{n}` and `{m}` for the numbers of its arguments; no text of a client's becomes SQL.
"""

from typing import Any

from common.database import Queries


class Conditions:
    """What is asked for; `arguments` are those of the query that takes the conditions, in place of its `{conditions}`."""

    def __init__(self, queries: Queries, *arguments: object) -> None:
        self._queries = queries
        self._arguments: list[Any] = [*arguments]
        self._lines: list[str] = []

    def add(self, name: str, *values: object) -> None:
        """The condition of that name, with its values; none of them is None, or it is not asked for."""
        if None not in values:
            number = len(self._arguments) + 1
            self._lines.append(self._queries[name].format(n=number, m=number + 1))
            self._arguments.extend(values)

    def statement(self, name: str) -> tuple[str, list[Any]]:
        """The query of that name, and its arguments."""
        return self._queries[name].format(conditions="".join(f"\n{line}\n" for line in self._lines)), self._arguments
