"""`python -m services.ingest keys create|list|revoke`: who may call the API."""

import argparse
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec

from common.migrations import migrate
from services.ingest import auth

_Scopes = Annotated[tuple[auth.KeyScope, ...], msgspec.Meta(min_length=1)]
_Days = Annotated[float, msgspec.Meta(gt=0, le=3_650)]


async def run(database_url: str, arguments: list[str]) -> None:
    """Carry out one command; a created key is printed this once and cannot be read again."""
    options = _parser().parse_args(arguments)
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    try:
        match options.command:
            case "create":
                lasting = None if options.days is None else timedelta(days=options.days)
                made = await auth.create_key(
                    connection, tenant=options.tenant, name=options.name, scopes=options.scopes, expires_in=lasting
                )
                print(made)
            case "list":
                for row in await connection.fetch("select * from api_keys order by id"):
                    state = "revoked" if row["revoked_at"] else f"until {row['expires_at']:%Y-%m-%d %H:%M}" if row["expires_at"] else "live"
                    print(f"{row['id']}  {row['tenant']}  {row['name']}  {','.join(row['scopes'])}  {state}")
            case "revoke":
                done = await connection.execute("update api_keys set revoked_at = now() where id = $1 and revoked_at is null", options.id)
                print("revoked" if done == "UPDATE 1" else "there is no such live key")
    finally:
        await connection.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.ingest keys")
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a key and print it")
    create.add_argument("--tenant", type=_checked(auth.Tenant), default=auth.DEFAULT_TENANT)
    create.add_argument("--name", default="")
    create.add_argument("--scopes", type=_scopes, default="read,write", help=f"comma-separated, of {', '.join(auth.SCOPES)}")
    create.add_argument("--days", type=_checked(_Days), help="after which it expires; left out: never")
    commands.add_parser("list", help="show all keys (not the secrets)")
    revoke = commands.add_parser("revoke", help="end a key")
    revoke.add_argument("id", type=UUID)
    return parser


def _scopes(text: str) -> tuple[auth.KeyScope, ...]:
    found: tuple[auth.KeyScope, ...] = _checked(_Scopes)([each.strip() for each in text.split(",")])
    return tuple(dict.fromkeys(found))


def _checked(kind: Any) -> Callable[[Any], Any]:
    """For a parser's `type`: what HTTP would refuse is refused here too."""

    def convert(value: Any) -> Any:
        try:
            return msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert
