"""The OpenAPI document: what the framework cannot see by itself."""

from typing import Any

import msgspec
from litestar.datastructures import CacheControlHeader
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, OpenAPIMediaType, Parameter, RequestBody, Schema, SecurityScheme
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.static_files import create_static_files_router
from swagger_ui_bundle import swagger_ui_path

from common.jobs.languages import LANGUAGES, REDACTABLE
from common.jobs.options import Options
from common.references.lines import Lines
from services.ingest import query
from services.ingest.contract import Contract
from services.ingest.taking import described

_ASSETS = "/schema/assets"

_MEANINGS = {
    "model": "A Whisper model that the service offers; its default when left out",
    "language": "ISO 639-1 code; detected when left out",
    "allowed_languages": "Codes that detection may choose from",
    "task": "translate gives English, whatever is spoken",
    "diarize": "Tell speakers apart",
    "min_speakers": "With diarize",
    "max_speakers": "With diarize",
    "channels": "split: each channel is a speaker of its own; auto: where the channels differ",
    "strict": "Fail rather than leave out a part that cannot be done",
    "prompt": "Text that shows style and spelling",
    "hotwords": "Words that are likely to occur",
    "lexicon_id": "A lexicon of yours: its corrections and hot words, as they are at submission",
    "temperature": "0 takes the likeliest words; more samples",
    "beam_size": "How many readings are followed at once",
    "align": "Time every word by alignment",
    "vad": "Leave out what is not speech",
    "vad_threshold": "How sure the detector of speech has to be; 0.5 unless set",
    "vad_min_silence": "Seconds of silence that end a stretch of speech",
    "vad_padding": "Seconds that are heard before and after each stretch of speech; 0.2 unless set",
    "mask_profanity": "Put stars for letters of swear words",
    "redact": f"What to remove from text and recording; in {', '.join(REDACTABLE)}",
    "topics": "Divide the transcript into topics, with a line of summary each",
    "reference": "Numbered lines that somebody says (verses, items of an agenda, a script): where each is, and clips of them",
    "reuse": "Take the result of an earlier job of yours with the same recording and options, if there is one: `cache` says so",
    "priority": "high before normal before low",
    "webhook_url": "Told of the end of the job",
    "webhook_payload": "full: the transcript comes along, or a link to a large one; process: as the earlier service for media files",
    "upload_presigned_url": "Where to PUT the transcript's JSON; taken byte for byte, at a public address",
    "expires_in": "Seconds from the job's end until it may expire, which it does when the server next cleans up, some minutes later;"
    " 0: nothing is kept once webhooks and uploads are delivered or given up",
    "metadata": "Up to 50 strings by their keys, echoed",
}
"""What each option is for; its type, limits and default are those of the struct."""

_REFERENCE_TEXT = "a text with a line for each, which are numbered from 1"

_LANGUAGE = Schema(type=OpenAPIType.STRING, enum=sorted(LANGUAGES))


def _options(*, form: bool) -> dict[str, Schema]:
    """The members of a submission; a form has lists and objects as text."""
    return {field.name: _option(field, form=form) for field in msgspec.structs.fields(Options)}


def _option(of: msgspec.inspect.Field | Any, *, form: bool) -> Schema:
    if of.name == "reference":
        return _reference(form=form)
    schema = query.schema(of.type, default=of.default, null=not form)
    if of.name == "language":
        schema.enum = [*(_LANGUAGE.enum or []), *([] if form else [None])]
    if of.name == "allowed_languages":
        schema.items = _LANGUAGE
    meaning = _MEANINGS[of.name]
    if form and schema.type == OpenAPIType.OBJECT:
        return Schema(type=OpenAPIType.STRING, description=f"{meaning}; a JSON object", examples=['{"desk": "3"}'])
    if form and schema.type == OpenAPIType.ARRAY:
        choices = schema.items.enum if isinstance(schema.items, Schema) and schema.items.enum else []
        return Schema(
            type=OpenAPIType.STRING, description=f"{meaning}; several are separated by commas", examples=[",".join(map(str, choices[:2]))]
        )
    schema.description = meaning
    return schema


def _reference(*, form: bool) -> Schema:
    """What is submitted; what the job's document shows of it is something else."""
    meaning = _MEANINGS["reference"]
    if form:
        text = f"{meaning}; {_REFERENCE_TEXT}, or a JSON array of objects with `number` and `text`"
        return Schema(type=OpenAPIType.STRING, description=text, examples=["First line\nSecond line"])
    text_of_all = Schema(type=OpenAPIType.STRING, description=_REFERENCE_TEXT)
    lines = query.schema(Lines)
    return Schema(any_of=[lines, text_of_all], description=meaning, examples=[[{"number": 1, "text": "First line"}]])


_FORM = Schema(
    type=OpenAPIType.OBJECT,
    required=["file"],
    properties={
        "file": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description="The recording: any audio or video"),
        **_options(form=True),
    },
    additional_properties=False,
)

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
        **_options(form=False),
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
    description="Makes the submission safe to send again: for a day, or as the server is set, the same request with the same key gets"
    " the first answer, and the header `Idempotency-Replayed`. Of a job that has expired since it gets the document as it is then, and of"
    " one that was deleted 404. A refused submission does not use up its key.",
    schema=Schema(type=OpenAPIType.STRING, min_length=1, max_length=255, pattern="^[!-~]+$"),
    example="2f1c9c3e-6a4f-4f0e-8f57-0b7d7a3e9d11",
)


SUBMIT = described(_BODY, _KEY)
"""The handler reads the socket itself, so that nothing is spooled; this says what it expects there."""

CONFIG = Contract(
    title="Verbatim",
    version="1",
    description="Self-hosted speech-to-text. Submit a recording, follow the job, read the transcript."
    " HEAD is answered wherever GET is: with the same headers, and without the body.",
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
