"""The OpenAPI document: what the framework cannot see by itself."""

from dataclasses import dataclass, field
from typing import get_args

from litestar.datastructures import CacheControlHeader
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, OpenAPIMediaType, Operation, Parameter, RequestBody, Schema, SecurityScheme
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.static_files import create_static_files_router
from swagger_ui_bundle import swagger_ui_path

from common.jobs.languages import REDACTABLE
from common.jobs.options import PRIORITIES, Sensitive
from services.ingest.contract import Contract

_ASSETS = "/schema/assets"

_FORM = Schema(
    type=OpenAPIType.OBJECT,
    required=["file"],
    properties={
        "file": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description="The recording: any audio or video"),
        "model": Schema(type=OpenAPIType.STRING, description="A Whisper model that the service offers; its default when left out"),
        "language": Schema(type=OpenAPIType.STRING, description="ISO 639-1 code; detected when left out", examples=["en"]),
        "allowed_languages": Schema(
            type=OpenAPIType.STRING, description="Codes that detection may choose from, by comma", examples=["en,de"]
        ),
        "task": Schema(type=OpenAPIType.STRING, enum=["transcribe", "translate"], default="transcribe"),
        "diarize": Schema(type=OpenAPIType.BOOLEAN, default=False, description="Tell speakers apart"),
        "min_speakers": Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=32, description="With diarize"),
        "max_speakers": Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=32, description="With diarize"),
        "channels": Schema(
            type=OpenAPIType.STRING,
            enum=["mix", "split", "auto"],
            default="mix",
            description="split: each channel is a speaker of its own; auto: where the channels differ",
        ),
        "strict": Schema(type=OpenAPIType.BOOLEAN, default=False, description="Fail rather than leave out a part that cannot be done"),
        "prompt": Schema(type=OpenAPIType.STRING, description="Text that shows style and spelling"),
        "hotwords": Schema(type=OpenAPIType.STRING, description="Words that are likely to occur"),
        "lexicon_id": Schema(
            type=OpenAPIType.STRING,
            format=OpenAPIFormat.UUID,
            description="A lexicon of yours: its corrections and hot words, as they are at submission",
        ),
        "temperature": Schema(type=OpenAPIType.NUMBER, minimum=0, maximum=1, default=0),
        "beam_size": Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=10, default=5),
        "align": Schema(type=OpenAPIType.BOOLEAN, default=True, description="Time every word by alignment"),
        "vad": Schema(type=OpenAPIType.BOOLEAN, default=True, description="Leave out what is not speech"),
        "vad_threshold": Schema(
            type=OpenAPIType.NUMBER, exclusive_minimum=0, exclusive_maximum=1, description="How sure the detector has to be; 0.5 unless set"
        ),
        "vad_min_silence": Schema(type=OpenAPIType.NUMBER, minimum=0, maximum=10, description="Seconds of silence that end a stretch"),
        "mask_profanity": Schema(type=OpenAPIType.BOOLEAN, default=False, description="Put stars for letters of swear words"),
        "redact": Schema(
            type=OpenAPIType.STRING,
            description=f"To be removed from text and recording, by comma: {', '.join(get_args(Sensitive))}; in {', '.join(REDACTABLE)}",
            examples=["email,phone,card"],
        ),
        "priority": Schema(type=OpenAPIType.STRING, enum=list(PRIORITIES), default="normal"),
        "webhook_url": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.URI, description="Told of the end of the job"),
        "expires_in": Schema(type=OpenAPIType.INTEGER, minimum=60, description="Seconds from the job's end to its expiry"),
        "metadata": Schema(type=OpenAPIType.STRING, description="A JSON object of up to 50 strings, echoed"),
    },
    additional_properties=False,
)

_OPTIONS = {name: schema for name, schema in (_FORM.properties or {}).items() if name not in {"file", "metadata"}}
_LINK = Schema(
    type=OpenAPIType.OBJECT,
    required=["source"],
    properties={
        "source": Schema(
            type=OpenAPIType.OBJECT,
            min_properties=1,
            max_properties=1,
            properties={
                "url": Schema(
                    type=OpenAPIType.STRING,
                    format=OpenAPIFormat.URI,
                    description="http or https, at a public address; fetched before the answer comes, and kept nowhere",
                ),
                "upload_id": Schema(
                    type=OpenAPIType.STRING,
                    format=OpenAPIFormat.UUID,
                    description="A complete upload of /api/v1/uploads or /files; its id becomes the job's",
                ),
            },
            additional_properties=False,
        ),
        **_OPTIONS,
        "metadata": Schema(type=OpenAPIType.OBJECT, max_properties=50, additional_properties=Schema(type=OpenAPIType.STRING)),
    },
    additional_properties=False,
    examples=[{"source": {"url": "https://example.com/talk.mp3"}, "language": "en"}],
)
_BODY = RequestBody(
    content={"multipart/form-data": OpenAPIMediaType(schema=_FORM), "application/json": OpenAPIMediaType(schema=_LINK)}, required=True
)

_KEY = Parameter(
    name="Idempotency-Key",
    param_in="header",
    description="Makes the submission safe to send again: for 24 hours the same request with the same key gets the first answer, and the"
    " header `Idempotency-Replayed`. A refused submission does not use up its key.",
    schema=Schema(type=OpenAPIType.STRING, min_length=1, max_length=255),
    example="2f1c9c3e-6a4f-4f0e-8f57-0b7d7a3e9d11",
)


@dataclass
class SubmitOperation(Operation):
    """The handler reads the socket itself, so that nothing is spooled; this says what it expects there."""

    request_body: RequestBody | None = field(default_factory=lambda: _BODY)

    def __post_init__(self) -> None:
        self.request_body = _BODY
        self.parameters = [*(self.parameters or []), _KEY]


CONFIG = Contract(
    title="Verbatim",
    version="1",
    description="Self-hosted speech-to-text. Submit a recording, follow the job, read the transcript.",
    path="/schema",
    render_plugins=[
        SwaggerRenderPlugin(
            path="/",
            js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            css_url=f"{_ASSETS}/swagger-ui.css",
            standalone_preset_js_url=f"{_ASSETS}/swagger-ui-standalone-preset.js",
            favicon="",
        )
    ],
    components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
    security=[{"key": []}],
)

ASSETS = create_static_files_router(_ASSETS, [swagger_ui_path], cache_control=CacheControlHeader(max_age=86_400), name="schema-assets")
"""What the page at `/schema` is made of; nothing is fetched from elsewhere."""
