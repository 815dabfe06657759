"""A local server that speaks the Anthropic Messages API, for runs without an API key."""
