"""The models that a call may name: OpenAI's names stand for the service's default, those of WHISPER_MODELS for themselves."""

from typing import Any

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from services.ingest.auth import caller
from services.ingest.problems import Problem

ALIASES = (
    "whisper-1",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
)
_OWNER = "verbatim"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """`created` is 0: nobody knows."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = _OWNER


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    object: str = "list"
    data: list[Model]


class Models:
    """Names, and what they stand for."""

    def __init__(self, offered: tuple[str, ...]) -> None:
        self._offered = offered
        self.names = tuple(dict.fromkeys((*ALIASES, *offered)))

    def resolve(self, name: str) -> str | None:
        """The job's option, None for the default. Raises `Problem` 404."""
        if name in self._offered:
            return name
        if name in ALIASES:
            return None
        raise Problem(404, "model_not_found", f"The model {name!r} does not exist; there are {', '.join(self.names)}.", field="model")


def handlers(models: Models) -> list[HTTPRouteHandler]:
    """`/v1/models`."""

    @get("/models", include_in_schema=False)
    async def list_models(request: Request[Any, Any, Any]) -> ModelList:
        caller(request, "read")
        return ModelList(data=[Model(id=name) for name in models.names])

    @get("/models/{name:path}", include_in_schema=False)
    async def read_model(request: Request[Any, Any, Any], name: FromPath[str]) -> Model:
        caller(request, "read")
        found = name.removeprefix("/")  # names on the hub have a slash inside, and a path parameter one in front
        models.resolve(found)
        return Model(id=found)

    return [list_models, read_model]
