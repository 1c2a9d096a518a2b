"""Passages out of documents: whole sentences packed up to a limit, each at its exact place."""

from collections.abc import Callable, Sequence

from langchain_text_splitters import RecursiveCharacterTextSplitter, TextSplitter

from assistant.knowledge import prose
from assistant.knowledge.settings import Chunking

Span = tuple[int, int]
CountTokens = Callable[[Sequence[str]], list[int]]

_FULL = 1000  # what a chunk that just fits measures
_WITHIN_SENTENCES = ["; ", " - ", ": ", ", ", " ", ""]


class SentenceSplitter(TextSplitter):
    """A LangChain text splitter that packs sentences, never cutting one that fits by itself.

    A chunk holds at most `chunking.words` words and `chunking.tokens` tokens as `count_tokens`
    counts them. Every chunk is a slice of its text, so offsets are exact. Chunks do not overlap.
    """

    def __init__(self, chunking: Chunking, count_tokens: CountTokens) -> None:
        super().__init__(chunk_size=_FULL, chunk_overlap=0, length_function=self.measure)
        self._chunking = chunking
        self._count_tokens = count_tokens
        self._within = RecursiveCharacterTextSplitter(
            separators=_WITHIN_SENTENCES,
            keep_separator="end",
            strip_whitespace=False,  # the pieces must join to the sentence again
            chunk_size=_FULL,
            chunk_overlap=0,
            length_function=self.measure,
        )

    def measure(self, text: str) -> int:
        """The size of `text` in thousandths of the largest chunk, rounded up."""
        return self._size(prose.words(text), self._count_tokens([text])[0])

    def split_text(self, text: str) -> list[str]:
        """The chunks of `text` in order."""
        return [text[start:end] for start, end in self.spans(text)]

    def spans(self, text: str) -> list[Span]:
        """The (start, end) of each chunk of `text`, in code points."""
        chunks: list[Span] = []
        held: list[tuple[Span, int]] = []
        for piece in self._pieces(text):
            if held and sum(size for _, size in held) + piece[1] > _FULL:
                chunks += self._closed(text, held)
                held = []
            held.append(piece)
        return chunks + self._closed(text, held)

    def _closed(self, text: str, held: list[tuple[Span, int]]) -> list[Span]:
        """The chunk that `held` makes, or more when its parts together count more tokens."""
        if not held:
            return []
        start, end = held[0][0][0], held[-1][0][1]
        if len(held) == 1 or self.measure(text[start:end]) <= _FULL:
            return [(start, end)]
        middle = len(held) // 2
        return self._closed(text, held[:middle]) + self._closed(text, held[middle:])

    def _pieces(self, text: str) -> list[tuple[Span, int]]:
        spans = [span for block in prose.blocks(text) for span in _sentences(text, block)]
        texts = [text[start:end] for start, end in spans]
        counts = self._count_tokens(texts)
        pieces: list[tuple[Span, int]] = []
        for (start, end), sentence, tokens in zip(spans, texts, counts, strict=True):
            size = self._size(prose.words(sentence), tokens)
            if size <= _FULL:
                pieces.append(((start, end), size))
            else:
                pieces += self._cut(sentence, start)
        return pieces

    def _cut(self, sentence: str, start: int) -> list[tuple[Span, int]]:
        pieces, at = [], start
        for part in self._within.split_text(sentence):
            inner = part.strip()
            first = at + len(part) - len(part.lstrip())
            if inner:
                pieces.append(((first, first + len(inner)), self.measure(inner)))
            at += len(part)
        assert at == start + len(sentence)
        return pieces

    def _size(self, words: int, tokens: int) -> int:
        filled = max(words / self._chunking.words, tokens / self._chunking.tokens)
        return -int(-filled * _FULL // 1)


def _sentences(text: str, block: Span) -> list[Span]:
    """The sentences of one paragraph or list item, its marker kept with the first."""
    start, end = block
    found = prose.sentences(text[start:end])
    return [(start + (each.start if at else 0), start + each.end) for at, each in enumerate(found)]
