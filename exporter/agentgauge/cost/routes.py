"""The cache of tool results over HTTP, for the on-call: what is kept, and a way to be rid of it."""

from __future__ import annotations

from dataclasses import asdict

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentgauge.cost.cache import ToolCache
from agentgauge.cost.store import StoreDownError


def cache_routes(cache: ToolCache | None) -> list[Route]:
    """GET /cache: a CacheRow for each tool. DELETE /cache: drop all results, or those of ``?tool=…``."""

    async def answer(request: Request) -> Response:
        if cache is None:
            raise HTTPException(404, "this agent runs without a cache of tool results")
        try:
            if request.method == "DELETE":
                return JSONResponse({"dropped": await cache.drop(request.query_params.get("tool"))})
            return JSONResponse([asdict(row) for row in await cache.rows()])
        except LookupError as error:
            raise HTTPException(404, str(error)) from None
        except StoreDownError as error:
            raise HTTPException(503, f"the cache cannot be reached: {error}") from None

    return [Route("/cache", answer, methods=["GET", "DELETE"])]
