"""The judge must be able to say guilty: each fault, put into a clean log, is found."""

from __future__ import annotations

from tests.drills.verdict import Mail, read, weigh

TOLD = [f"reader{n}@example.org" for n in range(50)]
WORDS = ["Investigating", "Resolved"]
TIMELINES = {"Investigating": frozenset({"Investigating"}), "Resolved": frozenset({"Investigating", "Resolved"})}


def clean() -> list[Mail]:
    """Everybody hears both words once, in order."""
    return [
        Mail(float(place), to, word, f"<{to}.{word}>", f"{to}{word}", TIMELINES[word])
        for place, (word, to) in enumerate((word, to) for word in WORDS for to in TOLD)
    ]


def test_a_clean_log_is_good() -> None:
    verdict = weigh("x", clean(), TOLD, WORDS, bound=0)
    assert str(verdict) == "drill x lost=0 duplicates=0 order=0 bound=0"
    assert verdict.good


def test_who_hears_only_the_last_word_was_overtaken_and_is_not_lost() -> None:
    assert weigh("x", [mail for mail in clean() if mail.word == "Resolved"], TOLD, WORDS, bound=0).good


def test_the_missed_are_found() -> None:
    mails = [mail for mail in clean() if (mail.to, mail.word) != (TOLD[3], "Resolved")]
    verdict = weigh("x", mails, TOLD, WORDS, bound=0)
    assert (verdict.lost, verdict.good) == (1, False)


def test_who_hears_nothing_at_all_is_found() -> None:
    verdict = weigh("x", [mail for mail in clean() if mail.to != TOLD[3]], TOLD, WORDS, bound=0)
    assert (verdict.lost, verdict.order, verdict.good) == (1, 0, False)


def test_strangers_are_found() -> None:
    stranger = clean()[0]._replace(to="nobody@example.org")
    assert not weigh("x", [*clean(), stranger], TOLD, WORDS, bound=0).good


def test_the_twice_told_are_found() -> None:
    mails = clean()
    mails.insert(10, mails[9])
    verdict = weigh("x", mails, TOLD, WORDS, bound=0)
    assert (verdict.duplicates, verdict.good) == (1, False)
    assert weigh("x", mails, TOLD, WORDS, bound=1).good


def test_copies_that_differ_are_found() -> None:
    mails = clean()
    mails.insert(10, mails[9]._replace(sha256="other"))
    verdict = weigh("x", mails, TOLD, WORDS, bound=5)
    assert (verdict.duplicates, verdict.altered, verdict.good) == (1, 1, False)
    assert str(verdict).endswith("altered=1")


def test_the_wrong_order_is_found() -> None:
    mails = clean()
    late = mails.pop(0)
    verdict = weigh("x", [*mails, late], TOLD, WORDS, bound=5)
    assert (verdict.order, verdict.good) == (1, False)


def test_a_late_copy_of_old_news_is_the_wrong_order() -> None:
    mails = clean()
    assert weigh("x", [*mails, mails[0]], TOLD, WORDS, bound=5).order == 1


def test_an_end_without_its_beginning_is_found() -> None:
    mails = [mail._replace(tells=frozenset({"Resolved"})) for mail in clean() if mail.word == "Resolved"]
    assert weigh("x", mails, TOLD, WORDS, bound=0).order == len(TOLD)


def test_late_ones_may_be_explained() -> None:
    verdict = weigh("x", [*clean(), clean()[0]], TOLD, WORDS, bound=1, order_bound=1)
    assert (verdict.order, verdict.good) == (1, True)


def test_any_other_fault_is_found() -> None:
    verdict = weigh("x", clean(), TOLD, WORDS, bound=0, faults=["publishing took 3 s"])
    assert not verdict.good
    assert str(verdict) == "drill x lost=0 duplicates=0 order=0 bound=0 fault='publishing took 3 s'"


def test_the_log_is_read_as_the_relay_writes_it() -> None:
    [mail] = read("1.5 a@b.c Resolved <id@host> 00ff Resolved,Investigating\n")
    assert mail == Mail(1.5, "a@b.c", "Resolved", "<id@host>", "00ff", frozenset({"Resolved", "Investigating"}))
