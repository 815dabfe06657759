"""What keeps the stack from running, said in one line to the person who started it."""


class StackError(Exception):
    """Something is missing or in the way; the message says what, and what to do about it."""
