"""``python -m sample_agent chat | simulate | crm | fault | fake-api | serve | backfill | cost report``."""

from sample_agent.cli import app

app(prog_name="python -m sample_agent")
