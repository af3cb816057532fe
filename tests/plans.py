"""How Postgres goes about a query."""

from typing import Any

import msgspec

from common.database import Connection


class Plan(msgspec.Struct):
    """Which indexes a plan uses, and which tables it scans from one end to the other."""

    indexes: set[str] = msgspec.field(default_factory=set)
    scanned: set[str] = msgspec.field(default_factory=set)


async def plan(connection: Connection, sql: str, types: str, values: str) -> Plan:
    """The one that serves every value, which is what a statement prepared once and kept ends up with."""
    await connection.execute("set plan_cache_mode = force_generic_plan")
    found = Plan()
    _read(await _explain(connection, sql, types, values, "format json"), found)
    return found


async def pages(connection: Connection, sql: str, types: str, values: str) -> int:
    """How many pages it touches; what it changes is undone."""
    async with connection.transaction():
        top = await _explain(connection, sql, types, values, "analyze, buffers, format json")
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


async def _explain(connection: Connection, sql: str, types: str, values: str, options: str) -> dict[str, Any]:
    await connection.execute(f"prepare hot{f'({types})' if types else ''} as {sql}")
    try:
        [answer] = await connection.fetch(f"explain ({options}) execute hot{f'({values})' if values else ''}")
    finally:
        await connection.execute("deallocate hot")
    top: dict[str, Any] = msgspec.json.decode(answer[0])[0]["Plan"]
    return top


def _read(node: dict[str, Any], found: Plan) -> None:
    if node["Node Type"] == "Seq Scan":
        found.scanned.add(node["Relation Name"])
    if "Index Name" in node:
        found.indexes.add(node["Index Name"])
    for child in node.get("Plans", ()):
        _read(child, found)
