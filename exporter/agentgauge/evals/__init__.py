"""Evaluations of any agent: scenarios in YAML, trials in parallel, verdicts with their reasons, a memory of versions.

It knows nothing of sales: it is given a function that answers a scenario with a transcript.
"""
