"""Personal data in texts: found where a pattern or a check digit gives it away, and not in what only looks like it."""

from itertools import pairwise

import pytest

from tests.data_files import words
from tlkeras.cli import main
from tlkeras.data.load import load_texts
from tlkeras.data.personal import find_personal, scrub


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jo.doe+x@mail.example.com, please.", "Write to <EMAIL>, please."),
        ("Call +49 30 1234567 now", "Call <PHONE> now"),
        ("Card 4111 1111 1111 1111 or 4111-1111-1111-1111", "Card <CARD> or <CARD>"),
        ("Pay to DE89 3704 0044 0532 0130 00", "Pay to <IBAN>"),
        ("536-90-4399 from 10.0.0.7 and 2001:db8::1", "<SSN> from <IP> and <IP>"),
    ],
)
def test_what_is_proven_is_replaced_by_its_kind(text, expected):
    assert scrub(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Card 4111 1111 1111 1112, which no bank gives out",
        "DE88 3704 0044 0532 0130 00 has a wrong check digit",
        "000-12-3456 is no number of a person; version 1.2.3 at 12:30:45, ratio 3::4",
        "127.0.0.1 and :: are everyone's; @home",
        "2024-11-24, 100 200 300 films",
    ],
)
def test_what_only_looks_like_it_stays(text):
    assert scrub(text) == text


def test_numbers_without_a_country_code_need_a_country():
    assert scrub("Call (650) 253-0000.") == "Call (650) 253-0000."
    assert scrub("Call (650) 253-0000.", region="US") == "Call <PHONE>."


def test_no_two_finds_overlap_and_they_stand_in_order():
    text = "a@b.de, +49 30 1234567, 4111111111111111, c@d.fr"
    found = find_personal(text, region="DE")
    assert [one.kind for one in found] == ["EMAIL", "PHONE", "CARD", "EMAIL"]
    assert all(one.stop <= other.start for one, other in pairwise(found))


def test_check_offers_the_texts_without_personal_data(tmp_path, capsys):
    rows = [f"{words(row)},{('good', 'bad')[row % 2]}" for row in range(40)]
    rows[3] = '"mail jo@example.com, or +49 30 1234567",bad'
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    main(["check", str(tmp_path / "texts.csv"), "--personal", "--output", str(tmp_path / "check")])
    assert "Texts that hold personal data: 1" in capsys.readouterr().out
    scrubbed = (tmp_path / "check" / "scrubbed.csv").read_text()
    assert "mail <EMAIL>, or <PHONE>" in scrubbed and "jo@" not in scrubbed
    splits = load_texts(tmp_path / "check" / "scrubbed.csv")
    assert splits.classes == ("bad", "good")
    assert sum(map(len, (splits.train, splits.val, splits.test))) == 40
