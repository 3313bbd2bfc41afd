"""Names and paths: what is stored exactly, and what is refused with a reason."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.errors import Invalid
from db.names import check_name, check_path
from db.text import check_text


@pytest.mark.parametrize("name", ["resnet-50", "a", "x" * 255, "模型", "two words", "v1.0+cu12", "😀", "\\u0000"])
def test_good_names_are_kept_as_they_are(name: str) -> None:
    assert check_name(name, "input.name") == name


def test_names_are_normalised() -> None:
    assert check_name("e\u0301" * 255, "input.name") == "é" * 255


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("", "is empty"),
        ("x" * 256, "at most 255"),
        ("x" * 1_048_576, "at most"),
        ("a/b", "reserved"),
        ("a:b", "reserved"),
        ("a@b", "reserved"),
        (" a", "blank"),
        ("a\u00a0", "blank"),
        ("a\n", "blank"),
        ("a\tb", "control character U+0009"),
        ("a\x7fb", "control character U+007F"),
        ("a\x9fb", "control character U+009F"),
        ("a\u2028b", "control character U+2028"),
        ("a\0b", "NUL"),
        ("a\ud800", "lone surrogate"),
        ("\ufb2c" * 128, "at most 255"),
    ],
)
def test_bad_names_are_refused_with_the_reason(name: str, because: str) -> None:
    with pytest.raises(Invalid, match=re.escape(because)) as caught:
        check_name(name, "input.name")
    assert caught.value.path == ("input", "name")
    assert caught.value.message.startswith("`input.name` ")
    assert len(caught.value.message) < 200
    caught.value.message.encode()


@given(st.text(max_size=300))
def test_a_name_that_passes_is_stable(text: str) -> None:
    try:
        name = check_name(text, "name")
    except Invalid:
        return
    assert check_name(name, "name") == name == unicodedata.normalize("NFC", text)
    assert check_path(name) == name


@pytest.mark.parametrize("path", ["vision", "vision/cifar", "/".join("abcdefghijklmnopqrst"), "a b/c.d"])
def test_good_paths(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    ("path", "because"),
    [
        ("", "empty part"),
        ("/a", "empty part"),
        ("a/", "empty part"),
        ("a//b", "empty part"),
        ("/".join("abcdefghijklmnopqrstu"), "more than 20 levels"),
        ("/" * 1_048_576, "more than 20 levels"),
        ("a/ b", "blank"),
        ("a/b:c", "reserved"),
        ("a/" + "x" * 256, "at most 255"),
    ],
)
def test_bad_paths_are_refused_with_the_reason(path: str, because: str) -> None:
    with pytest.raises(Invalid, match=re.escape(because)) as caught:
        check_path(path, "input.namespace")
    assert caught.value.path == ("input", "namespace")
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("path", ["..", "a/../b", "."])
def test_dots_are_no_directories(path: str) -> None:
    with pytest.raises(Invalid, match="dots"):
        check_path(path)


def test_text() -> None:
    assert check_text("line\nline\t😀", what="input.description", max_length=11) == "line\nline\t😀"
    for value, because in [("x" * 12, "12 characters"), ("\0", "NUL"), ("\udc00", "U+DC00")]:
        with pytest.raises(Invalid, match=re.escape(because)) as caught:
            check_text(value, what="input.description", max_length=11)
        assert caught.value.path == ("input", "description")
        assert caught.value.message.endswith((" it.", "Remove it."))
    with pytest.raises(Invalid) as caught:
        check_text("\0", what="key", max_length=5, path=("input", "entries", "0", "key"))
    assert caught.value.path == ("input", "entries", "0", "key")
