"""Edits: names, colours and merges that leave the model alone, and a file that is whole or not there."""

import json

import numpy as np
import pytest

from meronym.edits import BadEdits, Edits, clean_name, hex_of, load, parse
from meronym.parts import Parts, default_names, palette

NAMES = default_names(5)


def made() -> Parts:
    labels = np.arange(6, dtype=np.uint8)[None].repeat(2, 0)
    return Parts(labels, NAMES, confidence=np.full((2, 6), 0.5, np.float32), id="a/1.jpg")


def test_no_edits_change_nothing():
    parts = Edits().apply(made())
    assert parts.names == NAMES and (parts.labels == made().labels).all() and (parts.colours == palette(5)).all()
    assert not Edits() and Edits(wrong=frozenset(["x"]))


def test_names_colours_and_groups_are_applied_together():
    edits = Edits({2: "head", 5: "tail"}, {5: "#010203"}, ((5, 1), (3, 4)))
    parts = edits.apply(made())
    assert parts.names == ("tail", "head", "part 3")
    assert parts.labels[0].tolist() == [0, 1, 2, 3, 3, 1]
    assert parts.colours[0].tolist() == [1, 2, 3] and (parts.colours[1:] == palette(5)[1:3]).all()
    assert parts.id == "a/1.jpg" and (parts.confidence == 0.5).all()


def test_a_group_is_called_as_its_first_and_found_at_its_lowest():
    shown = Edits(groups=((4, 2),)).shown(NAMES)
    assert [part.members for part in shown] == [(1,), (4, 2), (3,), (5,)]
    assert shown[1].name == "part 4" and hex_of(shown[1]) == "#" + bytes(palette(5)[3]).hex()


def test_a_merge_may_free_a_name():
    assert Edits({3: "part 1"}, groups=((3, 1),)).shown(NAMES)[0].name == "part 1"


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        (Edits({6: "head"}), "no part 6; the model's parts are 1 to 5"),
        (Edits(colours={0: "#000000"}), "no part 0"),
        (Edits(groups=((1, 2), (2, 3))), "part 2 is merged twice"),
        (Edits(groups=((1, 1),)), "part 1 is merged twice"),
        (Edits(groups=((1,),)), "a group of one part"),
        (Edits({1: " head"}), "spaces around"),
        (Edits({1: ""}), "empty"),
        (Edits({1: "x" * 61}), "61 characters"),
        (Edits(colours={1: "red"}), '"#1796ff"'),
        (Edits(colours={1: "#12345g"}), '"#1796ff"'),
        (Edits({1: "Part 2"}), "parts 1 and 2 are both called"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(edits: Edits, says: str):
    with pytest.raises(BadEdits, match=says) as error:
        edits.apply(made())
    assert "\n" not in str(error.value)


def test_clean_names():
    assert clean_name("  the\n head\t ") == "the head"
    assert clean_name("Flügel 翼 <b>") == "Flügel 翼 <b>"
    for nothing in ("", "  ", "\n\x00"):
        with pytest.raises(BadEdits):
            clean_name(nothing)


def test_saved_and_read_again(tmp_path):
    assert load(tmp_path) == Edits()
    edits = Edits({2: "Flügel"}, {1: "#00ff00"}, ((3, 1), (4, 5)), frozenset(["a/ä.jpg", "b\udcff.jpg"]))
    assert edits.save(tmp_path) == tmp_path / "edits.json"
    assert load(tmp_path) == edits
    assert [path.name for path in tmp_path.iterdir()] == ["edits.json"]


def test_a_write_that_breaks_leaves_the_old_file(tmp_path, monkeypatch):
    Edits({1: "head"}).save(tmp_path)
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError):
        Edits({1: "tail"}).save(tmp_path)
    assert load(tmp_path).names == {1: "head"}


@pytest.mark.parametrize("content", ["{", "[]", '{"names": []}', '{"names": {"x": "y"}}', '{"groups": 3}', '"x"', ""])
def test_a_damaged_file_is_named(tmp_path, content: str):
    (tmp_path / "edits.json").write_text(content)
    with pytest.raises(BadEdits, match=r"edits\.json: .*remove it"):
        load(tmp_path)


def test_unknown_keys_of_a_later_version_are_left_alone():
    assert parse({"names": {"1": "head"}, "later": 1}) == Edits({1: "head"})
    assert json.loads("{}") == {} and parse({}) == Edits()
