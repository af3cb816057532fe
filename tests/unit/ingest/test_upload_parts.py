"""Parts: their size, their number, and what is missing of an upload."""

import pytest

from common.multipart import LEAST_PART_BYTES, MOST_PARTS, Part
from services.ingest.problems import Problem
from services.ingest.upload_parts import check, part_size, sizes


@pytest.mark.parametrize("total", [1, LEAST_PART_BYTES, LEAST_PART_BYTES + 1, 4 * 2**30, 100 * 2**30, 5 * 2**40])
def test_parts_make_up_the_whole(total: int) -> None:
    """In as many parts as S3 takes, none but the last smaller than it takes."""
    each = part_size(total)
    parts = list(sizes(total, each))
    assert sum(size for _, size in parts) == total
    assert [number for number, _ in parts] == list(range(1, len(parts) + 1))
    assert len(parts) <= MOST_PARTS
    assert each >= LEAST_PART_BYTES
    assert {size for _, size in parts[:-1]} <= {each}


def test_what_is_there() -> None:
    """Every part in its size, and of those whose ETag is named that one, quoted or not."""
    found = [Part(1, '"aa"', 10), Part(2, '"bb"', 5)]
    check(found, 15, 10, None)
    check(found, 15, 10, {1: "AA", 2: '"bb"'})
    with pytest.raises(Problem) as missing:
        check(found, 25, 10, None)
    assert (missing.value.status, missing.value.extra["missing"]) == (409, [2, 3])
    with pytest.raises(Problem) as differs:
        check(found, 15, 10, {2: "cc"})
    assert (differs.value.status, differs.value.extra["part"]) == (422, 2)
