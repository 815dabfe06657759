"""Doors for other SDKs and agent frameworks, a module each; importing one imports its framework, and nothing else does.

``docs/frameworks.md`` says what each records, and what it cannot.
"""
