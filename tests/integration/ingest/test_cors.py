"""Browsers: only pages from the origins that were named may call the API, keys and resumable uploads included."""

import httpx

from tests.running import Services

PAGE, OTHER = "https://app.example.com", "https://elsewhere.example.com"


async def test_only_pages_from_named_origins_may_call(service: Services) -> None:
    """A page's preflight and request are let in, on tus too; another's are answered without the header that would let its page read."""
    ingest = await service("ingest", CORS_ALLOW_ORIGINS=PAGE)
    async with httpx.AsyncClient(base_url=ingest.url) as http:
        for path, method, named in (("/api/v1/jobs", "POST", "authorization"), ("/files", "POST", "tus-resumable,upload-length")):
            asks = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": named}
            let_in = await http.options(path, headers={"Origin": PAGE, **asks})
            assert let_in.status_code == 204, let_in.text
            assert let_in.headers["access-control-allow-origin"] == PAGE
            assert method in let_in.headers["access-control-allow-methods"]
            assert set(named.split(",")) <= set(let_in.headers["access-control-allow-headers"].replace(" ", "").lower().split(","))
            assert "access-control-allow-origin" not in (await http.options(path, headers={"Origin": OTHER, **asks})).headers

        read = await http.get("/api/v1/jobs", headers={"Origin": PAGE})
        assert read.headers["access-control-allow-origin"] == PAGE
        assert "Location" in read.headers["access-control-expose-headers"]
        missing = await http.get("/api/v1/jobs/0190a000-0000-7000-8000-000000000000", headers={"Origin": PAGE})
        assert (missing.status_code, missing.headers["access-control-allow-origin"]) == (404, PAGE)
        assert "access-control-allow-credentials" not in read.headers
        assert "access-control-allow-origin" not in (await http.get("/api/v1/jobs", headers={"Origin": OTHER})).headers


async def test_no_page_may_call_unless_it_is_named(client: httpx.AsyncClient) -> None:
    """Without the setting nothing speaks of other origins."""
    for answer in (
        await client.get("/api/v1/jobs", headers={"Origin": PAGE}),
        await client.options("/api/v1/jobs", headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
