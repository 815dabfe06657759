"""Prompt versions: the library of them, and which one is in force."""
