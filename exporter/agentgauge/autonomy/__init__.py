"""Staged autonomy: what an agent may do alone, what waits for a person, and how it earns more; for any agent."""
