"""The client of Prometheus's API: what it gives, and what it says when there is no usable answer."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from agentgauge.ops.prometheus import Prometheus, PrometheusError
from sample_agent.serving import serving


async def answer(request: Request) -> Response:
    """An API that answers with what it was asked, for whoever knows the password."""
    if request.headers.get("authorization") != "Basic YW5uOnMzY3JldA==":  # ann:s3cret
        return PlainTextResponse("who are you?", status_code=401)
    match request.path_params["path"], request.query_params.get("query"):
        case "query", "slow":
            await asyncio.sleep(2)
        case "query", "wrong(":
            return JSONResponse({"status": "error", "error": "parse error"}, status_code=400)
        case "query", query:
            result = [{"metric": {"query": query}, "value": [7, request.query_params.get("time", "NaN")]}]
            return JSONResponse({"status": "success", "data": {"result": result}})
        case "query_range", _:
            values = [[1, "1"], [2, "+Inf"], [3, "NaN"]]
            return JSONResponse({"status": "success", "data": {"result": [{"metric": {}, "values": values}]}})
    return PlainTextResponse("hello")


@pytest.fixture
def address() -> Iterator[str]:
    """Where the API is, without a password."""
    with serving(Starlette(routes=[Route("/api/v1/{path:path}", answer)])) as url:
        yield url


@pytest.fixture
def prometheus(address: str) -> Prometheus:
    """The client of somebody who knows the password."""
    return Prometheus(address.replace("http://", "http://ann:s3cret@") + "/", timeout_seconds=0.5)


def test_values_come_as_numbers_and_those_of_no_graph_can_be_left_out(prometheus: Prometheus) -> None:
    """NaN and infinities are what Prometheus says, so they are there until they are dropped."""
    (series,) = prometheus.instant("up{a='b'} & 1", 5)
    assert (series.labels, series.points) == ({"query": "up{a='b'} & 1"}, ((7.0, 5.0),))
    assert math.isnan(prometheus.instant("up")[0].points[0][1])
    (series,) = prometheus.range("up", 1, 3, 1)
    assert series.points[1] == (2.0, math.inf)
    assert series.finite().points == ((1.0, 1.0),)


def test_an_answer_without_data_is_an_error_that_never_shows_the_password(address: str, prometheus: Prometheus) -> None:
    """One line that says where and why."""
    with pytest.raises(PrometheusError, match="Prometheus refused the query: parse error"):
        prometheus.instant("wrong(")
    with pytest.raises(PrometheusError, match=rf"^Prometheus at {address}/ took more than 0\.5 s\.$"):
        prometheus.instant("slow")
    with pytest.raises(PrometheusError, match=rf"^{address}/ answered 200 without JSON: not Prometheus\?$"):
        prometheus.alerts()
    with pytest.raises(PrometheusError, match=rf"^{address} answered 401 without JSON"):
        Prometheus(address).rules()


def test_an_address_where_nothing_answers_is_named() -> None:
    """Neither ready nor able to answer; what is not an address at all is told apart."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # a port that is taken but not listened on: connections are refused
        nowhere = Prometheus(f"http://127.0.0.1:{bound.getsockname()[1]}")
        assert not nowhere.is_ready()
        with pytest.raises(PrometheusError, match=rf"^Prometheus at {nowhere.url} does not answer\.$"):
            nowhere.alerts()
    with pytest.raises(PrometheusError, match=r"localhost:9090 is not a valid address; write it as http://host:9090"):
        Prometheus("localhost:9090").alerts()
