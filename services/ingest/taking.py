"""Operations that read query and JSON body themselves, so that what is wrong in them is named: what the OpenAPI document says of them."""

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, Operation, Parameter, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from services.ingest import query


def asking(*parameters: Parameter) -> type[Operation]:
    """For a handler's `operation_class`: its query (or head) may hold these."""
    return described(None, *parameters)


def taking(kind: type[msgspec.Struct], example: dict[str, Any], *parameters: Parameter, required: bool = True) -> type[Operation]:
    """The same; its body is a `kind`."""
    fields = msgspec.structs.fields(kind)
    schema = Schema(
        type=OpenAPIType.OBJECT,
        properties={field.name: query.schema(field.type, default=field.default, null=True) for field in fields},
        required=[field.name for field in fields if field.required] or None,
        additional_properties=False,
    )
    body = RequestBody(required=required, content={"application/json": OpenAPIMediaType(schema=schema, example=example)})
    return described(body, *parameters)


def described(body: RequestBody | None, *parameters: Parameter) -> type[Operation]:
    """The same of a body that is described elsewhere."""

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            self.request_body = body
            self.parameters = [*(self.parameters or []), *parameters]

    return Described
