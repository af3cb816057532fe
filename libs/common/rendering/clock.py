"""How subtitle formats write a time."""


def timestamp(milliseconds: int, mark: str) -> str:
    """Hours, two digits at least, minutes and seconds; `mark` stands before the milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{rest:03}"
