"""How documents write times in a recording, and moments."""

from datetime import UTC, datetime


def zoned(moment: datetime | None) -> str | None:
    """UTC with milliseconds: `2024-01-15T10:30:00.000Z`."""
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def timestamp(milliseconds: int, mark: str) -> str:
    """Hours, two digits at least, minutes and seconds; `mark` stands before the milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{rest:03}"
