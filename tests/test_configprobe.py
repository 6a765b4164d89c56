"""The names that tests go by."""

from rbl.configprobe import NamesOfTests


def test_the_single_names_come_first() -> None:
    """What was set when there was one is the main one still, and each counts once."""
    names = NamesOfTests(
        ehlo_name="a.example",
        ehlo_names=("b.example", "a.example"),
        sender_domain="s.example",
        sender_domains=("t.example",),
    )

    assert ("a.example", "b.example") == names.tester_names
    assert ("s.example", "t.example") == names.author_domains


def test_nothing_is_a_name_by_itself() -> None:
    """Without any, no name is made up: test senders have the collector's domains."""
    assert ((), ()) == (NamesOfTests().tester_names, NamesOfTests().author_domains)
