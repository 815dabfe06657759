"""Judge: the thresholds, the alerts built on them, and where their pages go."""
