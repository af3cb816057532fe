"""Every failure says by its type whether trying again can help.

`TransientError`: the same work may succeed later (a dependency was away, a child process died); it is retried with back-off, a bounded
number of times. `PermanentError`: it never will; the user is told at once. Both carry a stable `code` (for programs) and a sentence that
says what to do (for people).
"""


class VerbatimError(Exception):
    """A failure with a stable `code` and a `message` a person can act on."""

    transient: bool

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class TransientError(VerbatimError):
    """Trying the same work again later may succeed."""

    transient = True


class Refused(TransientError):
    """Who was asked is there and does not do it to this one thing, as when that is held: whoever deals with many goes on to the next."""


class PermanentError(VerbatimError):
    """Trying the same work again cannot succeed."""

    transient = False
