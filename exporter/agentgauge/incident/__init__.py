"""From a page to its end: the runbook read by a program, its queries asked, its command run, the end awaited.

Nothing in it is public but the command.
"""

__all__: list[str] = []
