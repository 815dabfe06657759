"""What people are shown before they decide."""

from __future__ import annotations

import pytest

from agentgauge.autonomy.showing import FieldChange, Piece, changes, gist, how_long, visible


def test_only_what_differs_is_a_change() -> None:
    """Word by word, the space after a word staying where it is."""
    before = {"to": "jane@globex.example", "body": "Dear Ms Doe,\n\nplease find our offer."}
    after = {"to": "jane@globex.example", "body": "Hi Jane,\n\nplease find our new offer."}
    assert changes(before, after) == [
        FieldChange(
            "body",
            (
                Piece("removed", "Dear Ms Doe,"),
                Piece("added", "Hi Jane,"),
                Piece("same", "\n\nplease find our "),
                Piece("added", "new "),
                Piece("same", "offer."),
            ),
        )
    ]


def test_a_field_that_came_or_went_is_a_change() -> None:
    """Also one that came with nothing in it."""
    assert changes({"a": 1}, {"b": [], "c": "x"}) == [
        FieldChange("a", (Piece("removed", "1"),)),
        FieldChange("b", ()),
        FieldChange("c", (Piece("added", "x"),)),
    ]


def test_true_and_one_are_not_the_same() -> None:
    """Python thinks so; a tool does not."""
    assert [change.field for change in changes({"flag": 1}, {"flag": True})] == ["flag"]


def test_the_pieces_make_up_both_versions() -> None:
    """Nothing of either is lost, however they differ."""
    before, after = "a b\n\nc  d\te ", " a\nb c d f\n"
    ((_, pieces),) = ((change.field, change.pieces) for change in changes({"x": before}, {"x": after}))
    assert "".join(piece.text for piece in pieces if piece.kind != "added") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == after


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Japproved", "⟨U+001B⟩[2Japproved"),
        ("\u202egnp.exe", "⟨U+202E⟩gnp.exe"),
        ("pay\u200bpal", "pay⟨U+200B⟩pal"),
        ("line\r\nline\ttab\rover", "line\nline\ttab⟨U+000D⟩over"),
        ("\U000e0061", "⟨U+E0061⟩"),
        ("👩\u200d👧 naïve 漢字", "👩\u200d👧 naïve 漢字"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(text: str, shown: str) -> None:
    """A reviewer must not be fooled by what a terminal or a browser does with it."""
    assert visible(text) == shown


def test_a_gist_is_one_short_line() -> None:
    """Enough to tell actions apart."""
    assert gist({"to": "jane", "body": "Hi,\n\n" + "x" * 500, "draft_id": 7}) == f"jane · Hi, {'x' * 96} · draft_id 7"


@pytest.mark.parametrize(
    ("seconds", "said"), [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (86_399, "23 h"), (200_000, "2 d")]
)
def test_time_is_said_in_its_largest_unit(seconds: float, said: str) -> None:
    """Rounded down: what expires in 1 min has that minute."""
    assert how_long(seconds) == said
