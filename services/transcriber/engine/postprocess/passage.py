"""A line of a transcript as text that can be rewritten, with its words kept in time.

The text is the segment's own, so every script keeps its spacing; each word knows where in it it stands. A rewriting says which characters
become what. Whatever of a word it leaves (a comma, an opening quote) stays with the new text, and the new words take the time of the ones
that they replace, each in proportion to its length. Of the new words, each keeps what was heard in its place as its `original`: one for
one where the numbers are equal, otherwise the first all of it and the others nothing. So the originals, joined, are what was heard.
"""

from collections.abc import Iterable, Sequence

import msgspec

from common.transcript import Segment, Word


class Rewriting(msgspec.Struct, frozen=True):
    """Characters `start` to `end` of a passage's text become `text`."""

    start: int
    end: int
    text: str


class Passage:
    """One segment. Its words are found in its text in their order; where one is not there, the text is divided at its spaces."""

    def __init__(self, segment: Segment) -> None:
        self.segment, self.text = segment, segment.text
        self.words, self.marks = _located(segment)

    def covered(self, start: int, end: int) -> range:
        """The words of which some character lies in `start`-`end`."""
        found = [index for index, (begin, stop) in enumerate(self.marks) if begin < end and start < stop]
        return range(found[0], found[-1] + 1) if found else range(0)

    def rewritten(self, rewritings: Iterable[Rewriting]) -> Segment:
        """The segment with each of them made; they must not overlap. Those that share a word are made in it together."""
        words: list[Word] = []
        pieces: list[str] = []
        done, position = 0, 0
        for covered, group in self._grouped(rewritings):
            begin, stop = self.marks[covered.start][0], self.marks[covered.stop - 1][1]
            text, edge = "", begin
            for each in group:
                text += self.text[edge : each.start] + each.text
                edge = each.end
            text += self.text[edge:stop]
            pieces += [self.text[position:begin], text]
            words += [*self.words[done : covered.start], *replaced(self.words[covered.start : covered.stop], text)]
            done, position = covered.stop, max(stop, edge)
        if not pieces:
            return self.segment
        text = "".join([*pieces, self.text[position:]])
        return msgspec.structs.replace(self.segment, text=text, words=(*words, *self.words[done:]))

    def _grouped(self, rewritings: Iterable[Rewriting]) -> list[tuple[range, list[Rewriting]]]:
        groups: list[tuple[range, list[Rewriting]]] = []
        for each in sorted(rewritings, key=lambda one: one.start):
            covered = self.covered(each.start, each.end)
            if groups and covered and covered.start < groups[-1][0].stop:
                before, group = groups.pop()
                groups.append((range(before.start, covered.stop), [*group, each]))
            elif covered:
                groups.append((covered, [each]))
        return groups


def replaced(heard: Sequence[Word], text: str) -> list[Word]:
    """The words of `text` in the time of those that were heard."""
    written = text.split()
    originals = [word.word if word.original is None else word.original for word in heard]
    if len(written) == len(heard):
        return [
            word if word.word == new else msgspec.structs.replace(word, word=new, original=original)
            for word, new, original in zip(heard, written, originals, strict=True)
        ]
    whole = " ".join(filter(None, originals))
    start, end = heard[0].start, heard[-1].end
    rate = (end - start) / sum(len(new) for new in written)
    made: list[Word] = []
    for number, new in enumerate(written):
        begin = made[-1].end if made else start
        stop = end if number == len(written) - 1 else round(begin + len(new) * rate, 3)
        made.append(
            Word(
                new,
                begin,
                stop,
                min(word.score for word in heard),
                heard[0].timing if len(written) == 1 else "interpolated",
                speaker=heard[0].speaker,
                overlap=any(word.overlap for word in heard),
                original="" if number else whole,
            )
        )
    return made


def _located(segment: Segment) -> tuple[tuple[Word, ...], list[tuple[int, int]]]:
    marks: list[tuple[int, int]] = []
    position = 0
    for word in segment.words:
        begin = segment.text.find(word.word, position)
        if begin < 0:
            break
        position = begin + len(word.word)
        marks.append((begin, position))
    if segment.words and len(marks) == len(segment.words):
        return segment.words, marks
    whole = Word(segment.text, segment.start, segment.end, segment.confidence, "interpolated", speaker=segment.speaker)
    words = [msgspec.structs.replace(word, original=None) for word in replaced([whole], segment.text)]
    return _located(msgspec.structs.replace(segment, words=tuple(words)))
