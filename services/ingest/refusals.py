"""How refusals appear in the OpenAPI document: each is a problem with a status and a reason."""

from litestar.openapi.datastructures import ResponseSpec

from services.ingest.problems import ProblemDocument


def refusals(reasons: dict[int, str]) -> dict[int, ResponseSpec]:
    """For a handler's `responses`."""
    return {status: ResponseSpec(ProblemDocument, description=reason, generate_examples=False) for status, reason in reasons.items()}


REFUSALS = refusals(
    {401: "No valid key", 403: "The key lacks the scope", 429: "Too much at once; Retry-After says when", 503: "A dependency is away"}
)
MISSING = refusals({404: "There is no such job"})
BODY = refusals(
    {
        400: "The body is not JSON, or broke off",
        408: "No bytes came for thirty seconds",
        413: "The body is too large",
        422: "A member of the body is missing or invalid",
    }
)
CONFLICT = refusals({409: "The job's status forbids it; `allowed` names those that do not"})
UNCHANGED = {304: ResponseSpec(None, description="The client has it already, as its If-None-Match says", generate_examples=False)}
"""Of what has an ETag."""
