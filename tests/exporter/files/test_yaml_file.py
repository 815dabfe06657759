"""The one reader of YAML files: what it takes and what it refuses; test_fuzz_files hands it anything at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgauge.files.yaml_file import MAX_BYTES, Block, YamlFileError, read_yaml


def read(tmp_path: Path, text: str | bytes) -> Block:
    """The file with this text."""
    path = tmp_path / "a.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path)


def test_values_are_what_people_mean(tmp_path: Path) -> None:
    """Keys are texts; dates, times and numbers with a leading zero stay as they are written."""
    text = "on: yes\n1: 2026-01-31\nat: 1:30\ncode: 010\nn: [1, 1_000, 0.5, -2.5, ~]\nquoted: '7'\n"
    assert read(tmp_path, text).content() == {
        "on": True,
        "1": "2026-01-31",
        "at": "1:30",
        "code": "010",
        "n": [1, 1000, 0.5, -2.5, None],
        "quoted": "7",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"a: \xff\n", "a.yml:1: the file: is not UTF-8 text; save it as UTF-8"),
        (b"a: 1\nb: caf\xe9\n", "a.yml:2: the file: is not UTF-8 text"),
        (b"a: 1\nb: \x07\n", "a.yml:2: the file: the character U+0007 is not allowed in YAML; remove it"),
        ("a: 1\nb: 2\n" + "#" * MAX_BYTES, "a.yml:1: the file: is larger than 1 MiB"),
        ("a:\n\tb: 1\n", "a.yml:2: the file: is not valid YAML: a tab where spaces are expected; indent with spaces"),
        ("a: [1\n", "a.yml:2: the file: is not valid YAML: "),
        ("a: 1\n---\nb: 2\n", "a.yml:2: the file: a second document begins here"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "a.yml:4: b.c: is given twice; remove one"),
        ("a: &x [1]\nb: *x\n", "a.yml:2: b: aliases such as *x are not supported; write the value out"),
        ("a:\n  <<: {b: 1}\n", "a.yml:2: a.<<: merge keys are not supported"),
        ("a: !!python/object:os.system [ls]\n", "a.yml:1: a: the tag tag:yaml.org,2002:python/object:os.system is not"),
        ("a: !mine 1\n", "a.yml:1: a: the tag !mine is not supported"),
        ("a: !!binary aGk=\n", "a.yml:1: a: the tag tag:yaml.org,2002:binary is not supported"),
        ("a: !!int twelve\n", "a.yml:1: a: 'twelve' is not a number that can be used"),
        ("a:\n- .nan\n", "a.yml:2: a.0: .nan is not a number that can be used here; write a finite one"),
        ("a: -.inf\n", "a.yml:1: a: -.inf is not a number"),
        ("a: 1.0e+999\n", "a.yml:1: a: 1.0e+999 is not a number"),
        ("a: 99999999999999999999\n", "a.yml:1: a: 99999999999999999999 is not a number"),
        (f"a: {'9' * 5000}\n", "a.yml:1: a: "),
        ('a: "\\x1b[2J"\n', "a.yml:1: a: holds the control character U+001B; remove it"),
        ('a: "\\ud800"\n', "a.yml:1: a: holds the control character U+D800; remove it"),
        ('a: "\\UFFFFFFFF"\n', "a.yml:1: the file: is not valid YAML"),
        ("? [a, b]\n: 1\n", "a.yml:1: the file: expected the name of a field"),
        ("[" * 60 + "]" * 60, "a.yml:1: 0.0.0: is nested more than 50 deep"),
        ("a: " + "[" * 100_000, "a.yml:1: a.0.0: is nested more than 50 deep"),
        ("a: *b\n", "a.yml:1: a: aliases such as *b are not supported"),
    ],
)
def test_what_is_refused_is_one_line_with_file_line_field_and_remedy(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    """Before anything of it is expanded: an alias bomb costs nothing."""
    with pytest.raises(YamlFileError) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(says)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~", "text", "- a\n- b\n", "7"])
def test_a_file_without_fields_is_refused_where_fields_are_expected(tmp_path: Path, text: str) -> None:
    """An empty file must not read as one that allows everything."""
    with pytest.raises(YamlFileError, match=r"a\.yml:1: the file: expected fields"):
        assert read(tmp_path, text).fields


def test_a_field_name_with_line_breaks_stays_on_one_line(tmp_path: Path) -> None:
    """The message goes to logs, where a line of its own could look like another message."""
    with pytest.raises(YamlFileError, match=r"^a\.yml:1: x ERROR all is lost: unknown field"):
        read(tmp_path, '"x\\nERROR all is lost": 1\n').only("a")


def test_a_file_that_is_not_there_is_named_with_its_path(tmp_path: Path) -> None:
    """So that a wrong folder is seen."""
    with pytest.raises(YamlFileError, match=r"/b\.yml cannot be read: No such file"):
        read_yaml(tmp_path / "b.yml")
    with pytest.raises(YamlFileError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)


def test_one_file_laid_over_another_keeps_each_fields_file_and_line(tmp_path: Path) -> None:
    """An error in what was taken from below names the file below."""
    (tmp_path / "below.yml").write_text("a: {b: 1, c: x}\nd: 4\n", encoding="utf-8")
    (tmp_path / "above.yml").write_text("# mine\na: {b: 2}\n", encoding="utf-8")
    both = read_yaml(tmp_path / "above.yml").laid_over(read_yaml(tmp_path / "below.yml"))
    assert both.content() == {"a": {"b": 2, "c": "x"}, "d": 4}
    assert str(both.error(["a", "b"], "is wrong")) == "above.yml:2: a.b: is wrong"
    assert str(both.error(["a", "c"], "is wrong")) == "below.yml:1: a.c: is wrong"
    assert str(both.error(["a", "e"], "is missing")) == "above.yml:2: a.e: is missing"
