"""What ``@gauge.tool()`` makes of a function: one that behaves as the bare one does, and whose calls are counted."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from time import perf_counter
from types import CodeType, coroutine
from typing import Any

from agentgauge.boundary import elapsed
from agentgauge.calls import ToolCall, record_tool_call, tool_error_type
from agentgauge.telemetry import Telemetry


def instrumented(telemetry: Telemetry, name: str | None, cost_usd: float, function: Any) -> Any:
    """The function with its calls counted, and registered as a tool; see ``AgentGauge.tool``.

    Raises TypeError for what cannot be called.
    """
    if isinstance(function, classmethod | staticmethod):
        return type(function)(instrumented(telemetry, name, cost_usd, function.__func__))
    if isinstance(function, functools.partialmethod):
        inner = instrumented(telemetry, name, cost_usd, function.func)
        return functools.partialmethod(inner, *function.args, **function.keywords)
    if _is_tool_of_sdk(function):
        tool = name or function.name
        telemetry.register_tools([tool])
        function.call = _counted(telemetry, tool, cost_usd, function.call)
        return function
    if not callable(function):
        raise TypeError(f"gauge.tool() decorates what can be called, not {type(function).__name__}")
    tool = name or _name_of(function)
    telemetry.register_tools([tool])
    return _counted(telemetry, tool, cost_usd, function)


def _is_tool_of_sdk(function: object) -> bool:
    """Whether it is what ``@beta_tool`` makes of a function: its ``call`` checks the arguments and calls it."""
    return isinstance(getattr(function, "name", None), str) and callable(getattr(function, "call", None))


def _name_of(function: Any) -> str:
    """The name of a function, of the one in a ``functools.partial``, or of the class of an object that is called."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _counted(telemetry: Telemetry, tool: str, cost_usd: float, function: Callable[..., Any]) -> Callable[..., Any]:
    kind = _what_runs(function)
    if inspect.isasyncgenfunction(kind):
        return _over_async_generator(telemetry, tool, cost_usd, function)
    if inspect.isgeneratorfunction(kind):
        over = _over_generator(telemetry, tool, cost_usd, function)
        # A coroutine of the old kind, made by types.coroutine, is awaited.
        return coroutine(over) if _is_awaited(kind) else over
    if inspect.iscoroutinefunction(kind):
        return _over_coroutine(telemetry, tool, cost_usd, function)
    return _over_function(telemetry, tool, cost_usd, function)


def _what_runs(function: Any) -> Any:
    """What tells by its flags whether it is a coroutine: of an object that is called, its ``__call__``."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) or inspect.isclass(function) else type(function).__call__


def _is_awaited(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return isinstance(code, CodeType) and bool(code.co_flags & inspect.CO_ITERABLE_COROUTINE)


def _over_async_generator(
    telemetry: Telemetry, tool: str, cost_usd: float, function: Callable[..., Any]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def over_async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with ToolCall(telemetry, tool, cost_usd):
            bare = function(*args, **kwargs)
            step = anext(bare)
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                try:
                    sent = yield item
                except GeneratorExit:
                    await bare.aclose()  # so that its ``finally`` has run when ours is closed
                    raise
                except BaseException as thrown:
                    step = bare.athrow(thrown)
                else:
                    step = bare.asend(sent)

    return over_async_generator


def _over_generator(
    telemetry: Telemetry, tool: str, cost_usd: float, function: Callable[..., Any]
) -> Callable[..., Generator[Any, Any, Any]]:
    @functools.wraps(function)
    def over_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with ToolCall(telemetry, tool, cost_usd):
            return (yield from function(*args, **kwargs))

    return over_generator


def _over_coroutine(
    telemetry: Telemetry, tool: str, cost_usd: float, function: Callable[..., Any]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def over_coroutine(*args: Any, **kwargs: Any) -> Any:
        started = perf_counter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            record_tool_call(telemetry, tool, elapsed(started, perf_counter()), tool_error_type(type(error)), cost_usd)
            raise
        record_tool_call(telemetry, tool, elapsed(started, perf_counter()), None, cost_usd)
        return result

    return over_coroutine


def _over_function(
    telemetry: Telemetry, tool: str, cost_usd: float, function: Callable[..., Any]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def over_function(*args: Any, **kwargs: Any) -> Any:
        started = perf_counter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            record_tool_call(telemetry, tool, elapsed(started, perf_counter()), tool_error_type(type(error)), cost_usd)
            raise
        record_tool_call(telemetry, tool, elapsed(started, perf_counter()), None, cost_usd)
        return result

    return over_function
