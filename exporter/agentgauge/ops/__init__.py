"""Operate a running agent: switches, transcripts, and a log of who did what."""
