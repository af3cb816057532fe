"""What went wrong with the local stack, as a sentence that says what to do; shown to people without a traceback."""


class StackError(Exception):
    """A server or service could not be installed, started or reached."""
