"""Which audio track of a file is heard."""

import pytest

from services.transcriber.tracks import Track, choose

FILM = [Track("eng", default=True), Track("ger"), Track("fre"), Track("ger", aside=True), Track(None), Track("por")]


@pytest.mark.parametrize(
    ("tracks", "language", "number", "chosen"),
    [
        (FILM, None, 1, "default"),
        (FILM, "de", 2, "language"),
        (FILM, "fr", 3, "language"),
        (FILM, "ja", 1, "default"),
        ([Track("eng"), Track("pt-BR")], "pt", 2, "language"),
        ([Track("eng"), Track("nob")], "no", 2, "language"),
        ([Track("eng"), Track("cmn-Hant")], "zh", 2, "language"),
        ([Track("und"), Track(None), Track("not a language")], "en", 1, "first"),
        ([Track("eng", aside=True, default=True), Track("eng")], "en", 2, "language"),
        ([Track("eng", aside=True)], "en", 1, "language"),
        ([Track("eng"), Track("eng", default=True)], "en", 2, "language"),
        ([Track("eng", default=True, known=False), Track("ger")], "en", 2, "first"),
        ([Track("eng", known=False)], "en", 1, "first"),
    ],
)
def test_a_track_is_chosen(tracks: list[Track], language: str | None, number: int, chosen: str) -> None:
    """By language, in whatever standard it is written; comments last; else the default one, else the first. None that cannot be decoded."""
    found = choose(tracks, language)
    assert (found.number, found.of, found.language, found.chosen) == (number, len(tracks), tracks[number - 1].language, chosen)
