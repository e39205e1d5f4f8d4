"""Snippets: the piece that shows it best, marked, on one line, and never anything but text of the message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.models.folding import MOST_WORDS, folded, parse, spots, words_of
from sessions.snippets import LENGTH, snippet


def shown(text: str, q: str) -> str:
    return "".join(f"[{part.text}]" if part.is_marked else part.text for part in snippet(text, parse(q)))


def test_words_are_marked_as_they_were_written():
    assert shown("Die Straße nach Łódź", "lodz strasse") == "Die [Straße] nach [Łódź]"


def test_phrases_are_marked_whole_and_beginnings_to_the_end_of_the_word():
    assert shown("see src/main.rs here", "src/main.rs") == "see [src/main.rs] here"
    assert shown("one parser", "pars") == "one [parser]"
    assert shown("日本語の検索機能", "検索") == "日本語の[検索]機能"


def test_the_piece_with_the_most_of_what_was_looked_for_is_taken():
    text = "alpha " + "x " * 500 + "alpha beta " + "y " * 500
    piece = shown(text, "alpha beta")
    assert "[alpha] [beta]" in piece
    assert piece.startswith("… ")
    assert piece.endswith(" …")
    assert len(piece) < LENGTH + 40


def test_a_word_that_is_longer_than_a_snippet_is_marked_as_far_as_it_is_shown():
    piece = shown("see " + "x" * 5000 + " there", "xxx*")
    assert piece.startswith("see [xxx")
    assert piece.endswith("xxx] …")
    assert len(piece) < 2 * LENGTH + 20


def test_without_a_find_the_beginning_is_shown():
    assert shown("nothing of it\n\n  here", "zebra") == "nothing of it here"
    assert shown("", "zebra") == ""


@given(st.text(), st.text(max_size=20))
def test_a_snippet_is_a_piece_of_the_text(text, q):
    parts = snippet(text, parse(q))
    whole = "".join(part.text for part in parts)
    plain = whole.removeprefix("… ") if not text.startswith("…") else whole
    assert "".join(plain.removesuffix(" …").split()) in "".join(text.split())
    assert len(whole) <= 2 * LENGTH + 10


@given(st.text())
def test_words_are_the_same_with_and_without_their_places(text):
    assert words_of(text) == [spot.word for spot in spots(text)]
    for spot in spots(text):
        assert spot.word in words_of(text[spot.start : spot.end])


WORDY = st.sampled_from(["a", "Zz9", "x" * 64, "y" * 65, "é", "…", "_", "/", ".", " ", "\n", "\x1c", "\x00", "猫"])


@given(st.text() | st.lists(WORDY).map("".join))
def test_what_the_index_keeps_are_the_same_words(text):
    assert folded(text).split() == [spot.word for spot in spots(text)]
    assert bool(folded(text)) == bool(words_of(text))


@pytest.mark.parametrize(
    "text", ["x " * 20_000, "é " * 20_000, f"{'a' * 40_000} b", f"{'. ' * 50_000}late", "." * 31_000]
)
def test_of_a_long_text_the_index_keeps_what_counts(text):
    assert folded(text).split() == words_of(text)
    assert len(words_of(text)) <= MOST_WORDS


@given(st.text())
def test_words_fold_to_themselves(text):
    words = words_of(text)
    assert words_of(" ".join(words)) == words
