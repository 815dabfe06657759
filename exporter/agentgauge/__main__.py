"""``python -m agentgauge`` is ``agentgauge``."""

from agentgauge.cli import main

main()
