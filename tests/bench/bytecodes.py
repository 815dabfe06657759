"""How many bytecodes Python runs for something: a cost that does not depend on how busy the machine is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def bytecodes(work: Callable[[], object]) -> int:
    """Those of all Python functions that `work` calls in this thread; what C does is not counted."""
    number = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal number
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        number += event == "opcode"
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks only here whether anybody wants to see bytecodes
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return number
