"""Trials: the Sales Companion played through one scenario, for the evaluations."""
