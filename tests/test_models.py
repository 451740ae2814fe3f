"""What a name must show."""

from __future__ import annotations

import sys
import unicodedata

from booking.models import is_visible

BLANK = {"Zs", "Zl", "Zp", "Cc"}


def test_every_blank_and_control_is_invisible() -> None:
    characters = map(chr, range(sys.maxunicode + 1))
    blank = [each for each in characters if unicodedata.category(each) in BLANK]
    assert len(blank) >= 80
    assert [each for each in blank if is_visible(each)] == []


def test_every_letter_number_and_mark_is_visible_but_fillers_and_selectors() -> None:
    hidden = {
        f"{code:04X}"
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code))[0] in "LNMPS" and not is_visible(chr(code))
    }
    selectors = {f"{code:04X}" for code in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))}
    assert hidden - selectors == {
        *(
            "034F",
            "115F",
            "1160",
            "17B4",
            "17B5",
            "180B",
            "180C",
            "180D",
            "180F",
            "2800",
            "3164",
            "FFA0",
        )
    }


def test_one_visible_character_is_enough() -> None:
    assert is_visible("\u200b\n x")
    assert not is_visible("\u200b\n ")
