"""The command line: `agentgauge`, the same for every agent."""
