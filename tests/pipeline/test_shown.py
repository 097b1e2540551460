"""Text that others wrote means only itself where it is shown."""

from __future__ import annotations

import sys

import pytest

from pipeline.shown import all_visible, code, markdown, one_line, visible


def test_a_terminal_obeys_nothing():
    assert visible("\x1b[2Jred\x07\x9b \u202edcba") == r"\x1b[2Jred\x07\x9b \u202edcba"
    assert visible("äöü ± Δ\tand\nlines") == "äöü ± Δ\tand\nlines"


def test_a_reason_is_one_short_line():
    assert one_line("done\nerror: none\r\n\tat all") == "done error: none at all"
    assert len(one_line("x" * 10**6)) < 600


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("a | b", r"a \| b"),
        ("[here](javascript:x)", r"\[here\](javascript:x)"),
        ("`code` *bold* _it_", r"\`code\` \*bold\* \_it\_"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz, x86_64", "Intel(R) Xeon(R) CPU @ 2.20GHz, x86_64"),
    ],
)
def test_markdown_has_no_markup_of_others(text, shown):
    assert markdown(text) == shown


def test_a_code_span_cannot_be_left():
    assert code("a` | <b>\nc") == "`a' / <b> c`"


def test_what_is_printed_is_visible(capsys):
    with all_visible():
        print("\x1b[31mred")
        print("\x07", file=sys.stderr)
    assert capsys.readouterr() == ("\\x1b[31mred\n", "\\x07\n")
