"""The base of errors that are shown to people as they are."""


class ReportedError(Exception):
    """Its text is one line that says what is wrong, and where; no traceback is needed."""
