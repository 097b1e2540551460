"""Texts for people."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from dmnet.text import CONTROL, all_visible, clock, error_line, visible


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00"), (59.4, "0:00:59"), (59.6, "0:01:00"), (3661, "1:01:01"), (90000, "25:00:00")],
)
def test_durations_read_as_hours_minutes_seconds(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_terminal_obeys_nothing() -> None:
    assert visible("\x1b[2Jred\x07\x9b \u202edcba") == r"\x1b[2Jred\x07\x9b \u202edcba"
    assert visible("äöü ± Δ\tand\nlines") == "äöü ± Δ\tand\nlines"


def test_what_is_printed_is_visible(capsys: pytest.CaptureFixture[str]) -> None:
    with all_visible():
        print("\x1b[31mred")
        print("\x07", file=sys.stderr)
    assert capsys.readouterr() == ("\\x1b[31mred\n", "\\x07\n")


def test_all_that_has_no_glyph_is_found() -> None:
    """By Unicode's own categories; the fillers are letters by theirs."""
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    every = (chr(code) for code in range(sys.maxunicode + 1))
    found = {char for char in every if unicodedata.category(char) in hidden} - {*"\t\n"}
    assert not [char for char in found if not CONTROL.fullmatch(char)]
    assert CONTROL.fullmatch("\u3164")


def test_a_name_with_a_line_break_is_no_line_of_its_own() -> None:
    assert error_line(ValueError("a\nerror: b")) == r"error: a\nerror: b"
