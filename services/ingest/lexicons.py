"""`/api/v1/lexicons`: corrections and hot words that a tenant keeps, for jobs to name as their `lexicon_id`.

A lexicon is replaced as a whole, so two who edit it never mix their halves. Jobs have copies: to change or delete one changes
no job.
"""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIMediaType, Reference, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath

from common.database import Pool
from common.lexicons import store
from common.lexicons.entries import TRIMMED, Correction, Draft
from common.lexicons.store import MAX_LEXICONS, Lexicon, Summary
from services.ingest import examples, json_body
from services.ingest.auth import caller
from services.ingest.body import streamed
from services.ingest.conditional import Conditional
from services.ingest.problems import Problem
from services.ingest.refusals import BODY, REFUSALS, UNCHANGED, refusals
from services.ingest.taking import described

_PATH = "/api/v1/lexicons"
_BODY_BYTES = 2**20
_MEMBER = re.compile(r"field `(\w+)`$")

_MISSING = refusals({404: "There is no such lexicon"})

_NAME = Schema(type=OpenAPIType.STRING, min_length=1, max_length=100, pattern=TRIMMED)
_BODY = RequestBody(
    required=True,
    content={
        "application/json": OpenAPIMediaType(
            schema=Schema(
                type=OpenAPIType.OBJECT,
                required=["name"],
                properties={
                    "name": _NAME,
                    "corrections": Schema(
                        type=OpenAPIType.ARRAY,
                        items=Reference(ref="#/components/schemas/Correction"),
                        max_items=1_000,
                        description="Applied to what was heard, the longest first; `from` and `to` are words, no patterns",
                    ),
                    "hotwords": Schema(
                        type=OpenAPIType.ARRAY,
                        items=_NAME,
                        max_items=200,
                        description="Words that the recogniser should expect, after the job's own `hotwords`",
                    ),
                },
                additional_properties=False,
                examples=[examples.LEXICON_DRAFT],
            )
        )
    },
)
_WRITE = described(_BODY)


class LexiconDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A lexicon, whole."""

    id: str
    name: str
    corrections: list[Correction]
    hotwords: list[str]
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]


class LexiconSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A lexicon in a list: `corrections` and `hotwords` are how many there are."""

    id: str
    name: str
    corrections: int
    hotwords: int
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]


class LexiconList(msgspec.Struct, frozen=True):
    """All that there are, oldest first."""

    lexicons: list[LexiconSummary]


def handlers(pool: Pool) -> list[HTTPRouteHandler]:
    """Creating, listing, reading, replacing and deleting."""

    @post(
        "/",
        summary="Create a lexicon",
        operation_class=_WRITE,
        responses=REFUSALS | BODY | refusals({409: "There are as many as there can be"}),
    )
    async def create(request: Request[Any, Any, Any]) -> Response[LexiconDocument]:
        """Keep corrections and hot words under an id that jobs can name."""
        tenant = caller(request, "write").tenant
        draft = await _draft(request)
        async with pool.acquire() as connection:
            made = await store.create(connection, tenant, draft)
        if made is None:
            raise Problem(
                409, "too_many_lexicons", f"You have {MAX_LEXICONS} lexicons, and no more can be kept; delete one.", limit=MAX_LEXICONS
            )
        return Response(_document(made), status_code=201, headers={"Location": f"{_PATH}/{made.id}"})

    @get("/", summary="List lexicons", responses=REFUSALS)
    async def list_lexicons(request: Request[Any, Any, Any]) -> LexiconList:
        """All of the caller's tenant, oldest first, without their contents."""
        tenant = caller(request, "read").tenant
        async with pool.acquire() as connection:
            return LexiconList([_summary(found) for found in await store.every(connection, tenant)])

    @get("/{lexicon_id:uuid}", summary="Read a lexicon", response_class=Conditional, responses=REFUSALS | _MISSING | UNCHANGED)
    async def read(request: Request[Any, Any, Any], lexicon_id: FromPath[UUID]) -> LexiconDocument:
        """The lexicon with all that is in it."""
        tenant = caller(request, "read").tenant
        async with pool.acquire() as connection:
            return _document(_there(lexicon_id, await store.get(connection, lexicon_id, tenant)))

    @put(
        "/{lexicon_id:uuid}",
        summary="Replace a lexicon",
        operation_class=_WRITE,
        responses=REFUSALS | _MISSING | BODY,
    )
    async def replace(request: Request[Any, Any, Any], lexicon_id: FromPath[UUID]) -> LexiconDocument:
        """Other contents under the same id, for jobs that are submitted from now on."""
        tenant = caller(request, "write").tenant
        draft = await _draft(request)
        async with pool.acquire() as connection:
            return _document(_there(lexicon_id, await store.replace(connection, lexicon_id, tenant, draft)))

    @delete("/{lexicon_id:uuid}", status_code=204, summary="Delete a lexicon", responses=REFUSALS | _MISSING)
    async def remove(request: Request[Any, Any, Any], lexicon_id: FromPath[UUID]) -> None:
        """Forget it; jobs that were submitted with it are not touched."""
        tenant = caller(request, "write").tenant
        async with pool.acquire() as connection:
            if not await store.delete(connection, lexicon_id, tenant):
                raise _missing(lexicon_id)

    return [create, list_lexicons, read, replace, remove]


async def _draft(request: Request[Any, Any, Any]) -> Draft:
    values = await json_body.read(streamed(request), _BODY_BYTES)
    try:
        return msgspec.convert(values, Draft)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None


def _invalid(message: str) -> Problem:
    """422, by the path of the member: msgspec tells it at the end, a rule across members at the beginning."""
    reason, _, path = message.partition(" - at `$")
    member = _MEMBER.search(reason)
    where = ".".join(filter(None, [path.strip(".`"), member[1] if member else ""]))
    where = where or (reason.split()[0] if reason.startswith("corrections[") else "the body")
    return Problem(422, "invalid_lexicon", f"{where}: {reason}", field=where)


def _there(lexicon_id: UUID, found: Lexicon | None) -> Lexicon:
    if found is None:
        raise _missing(lexicon_id)
    return found


def _missing(lexicon_id: UUID) -> Problem:
    return Problem(404, "lexicon_not_found", f"There is no lexicon {lexicon_id}.")


def _document(found: Lexicon) -> LexiconDocument:
    return LexiconDocument(
        id=str(found.id),
        name=found.name,
        corrections=list(found.corrections),
        hotwords=list(found.hotwords),
        created_at=found.created_at,
        updated_at=found.updated_at,
        links={"self": f"{_PATH}/{found.id}"},
    )


def _summary(found: Summary) -> LexiconSummary:
    return LexiconSummary(
        id=str(found.id),
        name=found.name,
        corrections=found.corrections,
        hotwords=found.hotwords,
        created_at=found.created_at,
        updated_at=found.updated_at,
        links={"self": f"{_PATH}/{found.id}"},
    )
