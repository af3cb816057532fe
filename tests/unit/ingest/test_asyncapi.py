"""The AsyncAPI document: valid by an independent reader, true to the structs, and current in the repository."""

import re
import warnings
from pathlib import Path

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from common.jobs.document import JobDocument
from common.jobs.partials import PartialSegment
from common.topology import EXCHANGE, QUEUES, ROUTED
from common.webhook import Disabled
from services.ingest.asyncapi import as_yaml, document
from services.ingest.examples import CHANGE, DISABLED, EVENTS, PARTIAL
from services.ingest.feeds import Change

REPOSITORY = Path(__file__).parents[3]
INTERNAL = {"delivery.due", "cleanup.requested", "archive.requested"}


def test_the_document_in_the_repository_is_current() -> None:
    """`python -m services.ingest.asyncapi > docs/api/asyncapi.yaml` would change nothing."""
    assert (REPOSITORY / "docs" / "api" / "asyncapi.yaml").read_text() == as_yaml()


def test_an_independent_reader_accepts_it() -> None:
    """It is AsyncAPI 3.0 by models that were written from the specification, which refuse fields that it does not know."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own, at its import
        from asyncapi3 import AsyncAPI3  # noqa: PLC0415 - see above

    AsyncAPI3.model_validate(yaml.safe_load(as_yaml()))
    with pytest.raises(ValueError, match="messages"):
        AsyncAPI3.model_validate(document() | {"channels": {"watch": {"messages": 3}}})


def test_references_lead_somewhere() -> None:
    """Every `$ref` is the path of something in the document."""
    references = re.findall(r"\$ref: '#/([^']+)'", as_yaml())
    assert references
    for reference in references:
        found = document()
        for part in reference.split("/"):
            found = found[part]


def test_examples_are_what_it_says() -> None:
    """Every example fits its schema, and the struct that the schema was made from."""
    for kind, example in EVENTS.items():
        _valid("JobDocument", example)
        told = msgspec.convert(example, JobDocument)
        assert msgspec.to_builtins(told) == example, kind
    _valid("Disabled", DISABLED)
    assert msgspec.to_builtins(msgspec.convert(DISABLED, Disabled)) == DISABLED
    _valid("Change", CHANGE)
    assert msgspec.to_builtins(msgspec.convert(CHANGE, Change)) == CHANGE
    _valid("PartialSegment", PARTIAL)
    assert msgspec.to_builtins(msgspec.convert(PARTIAL, PartialSegment)) == PARTIAL
    for name in ("change", "segment"):
        message = document()["components"]["messages"][name]
        _valid(message["payload"]["$ref"].rpartition("/")[2], message["examples"][0]["payload"])


def test_it_tells_of_every_event_on_the_exchange() -> None:
    """All that our queues are bound to is described, but for our own bookkeeping, with the exchange that it is found on."""
    assert EVENTS.keys() >= ROUTED - INTERNAL
    assert not INTERNAL & EVENTS.keys()
    for kind in EVENTS:
        channel = document()["channels"][kind.replace(".", "-")]
        assert channel["address"] == kind
        assert channel["bindings"]["amqp"]["exchange"]["name"] == EXCHANGE
        assert channel["x-own-queues"] == [queue.name for queue in QUEUES if kind in queue.bindings]


def _valid(schema: str, value: object) -> None:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document()["components"]}
    Draft202012Validator(whole).validate(value)
