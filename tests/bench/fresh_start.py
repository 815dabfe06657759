"""Run in an interpreter of its own: import AgentGauge, make a gauge, look up a price; print the cost of that.

Prints [CPU seconds of the import, CPU seconds of the rest, MiB of both].

With the argument ``anthropic``, the SDK is imported beforehand, and the middleware is made, too.
"""

import sys
import time
from pathlib import Path


def resident_mib() -> float:
    """Memory of this process in MiB; NaN where there is no /proc."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return float("nan")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


beside_sdk = "anthropic" in sys.argv[1:]
if beside_sdk:
    import anthropic  # noqa: F401 - it is there already in an agent

memory, started = resident_mib(), time.process_time()

import agentgauge  # noqa: E402 - this is what is timed

imported = time.process_time()

gauge = agentgauge.AgentGauge("a")
gauge.prices.cost_usd("claude-opus-5-5", agentgauge.TokenUsage(input=1))
if beside_sdk:
    gauge.anthropic()

ready = time.process_time()
print([imported - started, ready - imported, resident_mib() - memory])  # noqa: T201 - its only output
