"""Text that others wrote means only itself where it is shown."""

from __future__ import annotations

import pytest

from pipeline.escaping import code, markdown, one_line


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
        (
            "see https://evil.example or www.evil.example",
            r"see https\://evil.example or www\.evil.example",
        ),
        ("@all, a@b.example, $x$", r"\@all, a\@b.example, \$x\$"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz, x86_64", "Intel(R) Xeon(R) CPU @ 2.20GHz, x86_64"),
    ],
)
def test_markdown_has_no_markup_of_others(text, shown):
    assert markdown(text) == shown


def test_a_code_span_cannot_be_left():
    assert code("a` | <b>\nc") == "`a' / <b> c`"
