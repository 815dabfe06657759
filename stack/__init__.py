"""Run it all: the same services in containers, or as processes where there is no Docker engine."""
