# Generated from alerts/thresholds.yml by `make generate`; do not edit.
"""The per-session limits that the bundle's alerts are built on."""

SESSION_TOOL_CALLS = 15
SESSION_COST_USD = 0.5
