"""Listings of any length, a page at a time: what is held in memory does not grow with what is listed."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def pages(items: AsyncIterator[T], size: int) -> AsyncGenerator[list[T], None]:
    """`items` in lists of `size`, the last one shorter."""
    page: list[T] = []
    async for item in items:
        page.append(item)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
