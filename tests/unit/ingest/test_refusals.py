"""Refusals of values that can be chosen say what from, wherever the value stands."""

from collections.abc import Callable
from typing import Any

import pytest

from common.jobs.job import Status
from services.ingest import form, json_body, query
from services.ingest.admin.keys import KeyRequest
from services.ingest.auth import SCOPES
from services.ingest.listing import PageQuery
from services.ingest.problems import Problem
from services.ingest.webhooks.log import LogQuery


@pytest.mark.parametrize(
    ("ask", "field", "allowed"),
    [
        (lambda: query.parse({"status": "done"}, PageQuery), "status", [*Status]),
        (lambda: query.parse({"state": "lost"}, LogQuery), "state", ["pending", "delivered", "failed"]),
        (lambda: json_body.parse({"scopes": ["read", "all"]}, KeyRequest), "scopes", [*SCOPES]),
        (lambda: form.check("task", "sing"), "task", ["transcribe", "translate"]),
        (lambda: form.options_of({"priority": "now"}), "priority", ["high", "normal", "low"]),
        (lambda: query.parse({"limit": "0"}, PageQuery), "limit", []),
    ],
)
def test_what_can_be_chosen_is_told(ask: Callable[[], Any], field: str, allowed: list[str]) -> None:
    """In `allowed` for programs, and in the sentence for people."""
    with pytest.raises(Problem) as caught:
        ask()
    problem = caught.value
    assert (problem.status, problem.code, problem.extra["field"]) == (422, "invalid_option", field)
    assert sorted(problem.extra.get("allowed", [])) == sorted(allowed)
    assert all(choice in problem.detail for choice in allowed)
