"""What can go wrong in a tool; the class name becomes the `error_type` of the failed call."""


class CrmUnavailable(ConnectionError):  # noqa: N818 - reads as the cause it is, in an alert
    """The CRM did not answer; the same call may work later."""


class SchemaMismatch(ValueError):  # noqa: N818 - same
    """The CRM answered in a shape that the tool does not understand."""


class ToolInputError(ValueError):
    """The model called a tool with arguments that do not fit its schema; the message names the field."""
