"""The parts of an upload: how large they are to be, and whether those that came make up what was announced."""

from collections.abc import Iterator, Mapping, Sequence

from common.multipart import LEAST_PART_BYTES, MOST_PARTS, Part
from services.ingest.problems import Problem

_MIB = 2**20
_NUMBERS = MOST_PARTS * 9 // 10  # some are passed over when a request takes over from one that hangs
_TOLD = 100


def part_size(total: int) -> int:
    """Bytes of every part but the last, of an upload of `total` bytes: small, as that much is held in memory, and few enough for S3."""
    return max(LEAST_PART_BYTES, -(-total // _NUMBERS // _MIB) * _MIB)


def sizes(total: int, each: int) -> Iterator[tuple[int, int]]:
    """The numbers of the parts, and their sizes in bytes."""
    whole, rest = divmod(total, each)
    yield from ((number, each) for number in range(1, whole + 1))
    if rest:
        yield whole + 1, rest


def check(found: Sequence[Part], total: int, each: int, claimed: Mapping[int, str] | None) -> None:
    """Raises `Problem` unless the store has every part in its size and, of those of which the client claims an ETag, the very part."""
    there = {part.number: part for part in found}
    wanted = dict(sizes(total, each))
    missing = [number for number, size in wanted.items() if number not in there or there[number].size != size]
    if missing:
        raise Problem(
            409,
            "parts_missing",
            f"The store has {len(wanted) - len(missing)} of {len(wanted)} parts in their size; PUT those that are missing and ask again.",
            missing=missing[:_TOLD],
        )
    for number, etag in (claimed or {}).items():
        if number not in there or _bare(there[number].etag) != _bare(etag):
            raise Problem(
                422, "part_differs", f"Part {number} in the store has not the ETag that you name; PUT it again.", field="parts", part=number
            )


def _bare(etag: str) -> str:
    return etag.strip('"').lower()
