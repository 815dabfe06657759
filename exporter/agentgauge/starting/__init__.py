"""`agentgauge init`: look at a repository, plan what to add, show it as a diff, write it after a yes.

Nothing in it is public but the command.
"""

__all__: list[str] = []
