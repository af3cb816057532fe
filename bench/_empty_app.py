"""The yardstick of `./run bench api`: a Litestar handler that answers nothing, served as ingest is. `python -m bench._empty_app PORT`."""

import sys

import uvicorn
from litestar import Litestar, get

from services.ingest.bounded_http import BoundedHttp


@get("/{name:str}")
async def _nothing(name: str) -> None:
    """As little as a handler with one path parameter can do."""


if __name__ == "__main__":
    application = Litestar(route_handlers=[_nothing], openapi_config=None, logging_config=None)
    uvicorn.run(
        application, port=int(sys.argv[1]), http=BoundedHttp, log_config=None, access_log=False, server_header=False, lifespan="off"
    )
