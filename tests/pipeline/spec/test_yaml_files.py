"""YAML is data: safe, without duplicate keys; errors say where and why."""

from __future__ import annotations

import os

import pytest

from pipeline.errors import SpecError
from pipeline.spec.yaml_files import load_named, load_yaml


@pytest.fixture
def file(tmp_path):
    return tmp_path / "some.yaml"


def test_a_mapping_is_read(file):
    file.write_text("a: {b: [1, 2.5, text]}\n")
    assert load_yaml(file) == {"a": {"b": [1, 2.5, "text"]}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3 not valid YAML (key 'a' stands twice)"),
        ("a: {b: 1, b: 2}\n", "line 1 not valid YAML (key 'b' stands twice)"),
        ("a: [1\n", "line 2 not valid YAML"),
        ("a: !!python/object/apply:os.system [true]\n", "line 1 not valid YAML"),
        ("? [a, list]\n: 1\n", "not valid YAML"),
        ("- a\n- b\n", "expected a YAML mapping (key: value), found list"),
        ("", "expected a YAML mapping (key: value), found NoneType"),
    ],
)
def test_anything_else_is_refused_with_file_and_line(file, text, problem):
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_yaml(file)
    assert str(caught.value).startswith(f"{file}:")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_a_missing_file(file):
    file.write_bytes(b"\x89PNG\xff")
    with pytest.raises(SpecError, match="cannot be read as text"):
        load_yaml(file)
    with pytest.raises(SpecError, match="missing.yaml: cannot be read"):
        load_yaml(file.with_name("missing.yaml"))


def test_an_unknown_name_lists_the_files_there_are(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.yaml").write_text("x: 1\n")
    assert load_named(tmp_path, "a", "thing", "the test") == (tmp_path / "a.yaml", {"x": 1})
    for wrong in ("c", "../a", "a.yaml", ""):
        with pytest.raises(SpecError) as caught:
            load_named(tmp_path, wrong, "thing", "the test")
        assert f"the test: unknown thing {wrong!r}; expected one of a, b" in str(caught.value)


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 20))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{" * 100_000, "nested deeper than 40"),  # PyYAML's C code: a segmentation fault
        ("- " * 100_000, "nested deeper than 40"),
        (LAUGHS, "more than 100000 values"),
        ("a: &a [*a]\n", "alias 'a' stands within itself"),
        (f"a: {'9' * 5000}\n", "not valid YAML"),  # Python reads no such number
        ("a: 2026-02-31\n", "not valid YAML (day is out of range for month)"),
        ("a: !!bool 3\n", "not valid YAML (tag 'tag:yaml.org,2002:bool')"),
        (f"a: {'x' * 2**20}\n", "more than 1048576 bytes"),
    ],
)
def test_a_strangers_file_ends_in_one_line(file, text, problem):
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_yaml(file)
    assert str(caught.value).startswith(f"{file}:") and problem in str(caught.value)
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


def test_an_alias_stands_for_its_value(file):
    file.write_text("a: &a {b: [1, 2]}\nc: *a\n")
    assert load_yaml(file) == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}


def test_a_pipe_is_not_waited_for(file):
    os.mkfifo(file)
    with pytest.raises(SpecError, match="no plain file"):
        load_yaml(file)
