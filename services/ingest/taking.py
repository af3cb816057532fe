"""Operations that read their JSON body themselves, so that what is wrong in it is named: what the OpenAPI document says may be there."""

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from services.ingest import query


def taking(kind: type[msgspec.Struct], example: dict[str, Any], *, required: bool = True) -> type[Operation]:
    """For a handler's `operation_class`: its body is a `kind`."""
    fields = msgspec.structs.fields(kind)
    schema = Schema(
        type=OpenAPIType.OBJECT,
        properties={field.name: query.schema(field.type, default=field.default, null=True) for field in fields},
        required=[field.name for field in fields if field.required] or None,
        additional_properties=False,
    )
    body = RequestBody(required=required, content={"application/json": OpenAPIMediaType(schema=schema, example=example)})

    @dataclass
    class Taking(Operation):
        def __post_init__(self) -> None:
            self.request_body = body

    return Taking
