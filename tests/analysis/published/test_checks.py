"""What is recomputed of published numbers: rounding by brute force, and that a corrupted number is flagged."""

from __future__ import annotations

import copy
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.published import checks
from analysis.published.boards import document, from_document
from analysis.published.checks.relative import change
from analysis.published.rebuild import build, overview
from analysis.published.rounding import FOLLOWS, Printed, cut_to, judge, percent, plain, read, round_to
from persona_sweeps.errors import DataError

DOCUMENTARY = "documentary_personas"


def flags(content: dict[str, Any]) -> list[str]:
    return [sentence for outcome in checks.run(from_document(content)) for _, sentence in outcome.flags]


def corrupted(name: str, table: str, row: str, metric: str, text: str) -> dict[str, Any]:
    """Return a board's file with one number replaced."""
    content = copy.deepcopy(document(name))
    (found,) = [each for each in content["tables"] if each["key"] == table]
    (place,) = [each for each in found["rows"] if each["name"] == row]
    assert place["values"][metric] != text
    place["values"][metric] = text
    return content


def printed(value: Fraction, decimals: int) -> Printed:
    return read(plain(value, decimals))


# Rounding


@given(st.fractions(-2000, 2000), st.integers(0, 4))
def test_a_number_prints_within_half_a_digit_of_itself(value: Fraction, decimals: int) -> None:
    assert printed(value, decimals).range.low <= value <= printed(value, decimals).range.high
    assert plain(value, decimals).lstrip("-") == plain(-value, decimals).lstrip("-")
    assert abs(cut_to(value, decimals)) <= abs(value)


@given(st.fractions("0.05", 1), st.fractions("0.05", 1), st.integers(0, 1))
def test_what_comes_of_unrounded_numbers_is_never_said_not_to_follow(
    top: Fraction, bottom: Fraction, decimals: int
) -> None:
    claimed = printed(100 * (top / bottom - 1), decimals)
    nominal, range_ = change(printed(top, 3), printed(bottom, 3))
    assert "doesn't follow" not in judge(claimed, nominal, range_, percent).words


@given(st.integers(50, 999), st.integers(50, 999), st.integers(-100, 1000))
def test_verdicts_are_those_of_all_digits_that_rounding_hides(top: int, bottom: int, claim: int) -> None:
    """Try a grid over all that rounds to the two inputs, edges included."""
    first, second = printed(Fraction(top, 1000), 3), printed(Fraction(bottom, 1000), 3)
    claimed = printed(Fraction(claim, 10), 1)
    verdict = judge(claimed, *change(first, second), percent)
    steps = [Fraction(step, 20_000) for step in range(-10, 11)]
    grid = [100 * ((first.value + a) / (second.value + b) - 1) for a in steps for b in steps]
    if verdict == FOLLOWS:
        assert abs(100 * (first.value / second.value - 1) - claimed.value) <= claimed.half
    elif "doesn't follow" in verdict.words:
        assert all(abs(value - claimed.value) > claimed.half for value in grid)
    else:
        assert verdict.flagged
        nearest = [claimed.value - claimed.half, claimed.value + claimed.half]
        assert any(min(grid) <= edge <= max(grid) for edge in nearest)


@pytest.mark.parametrize(
    ("first", "second", "claim", "words"),
    [
        ("0.328", "0.296", "+10", "flag: prints as +11 %; +10 % only by digits not printed"),
        ("0.328", "0.296", "+11", "follows"),
        ("0.321", "0.295", "+10", "flag: doesn't follow; can print as +8 % to +9 %"),
        ("0.289", "0.256", "+13", "follows"),
        ("0.289", "0.256", "+14", "flag: doesn't follow; can print as +12 % to +13 %"),
        ("1", "8", "-95.0", "flag: doesn't follow; can print as -94.1 % to -80.0 %"),
    ],
)
def test_the_verdicts_of_known_cases(first: str, second: str, claim: str, words: str) -> None:
    nominal, range_ = change(read(first), read(second))
    assert judge(read(claim), nominal, range_, percent).words == words


def test_a_tie_may_print_either_way() -> None:
    nominal, range_ = change(read("0.2050"), read("0.2000"))
    assert nominal == Fraction(5, 2)
    assert judge(read("+2"), nominal, range_, percent) == judge(read("+3"), nominal, range_, percent) == FOLLOWS
    assert round_to(Fraction(5, 2), 0) == 3 and round_to(Fraction(-5, 2), 0) == -3


@pytest.mark.parametrize(("first", "second"), [("0.3", "0.000"), ("0.3", "-0.2"), ("-0.3", "0.2")])
def test_no_change_is_told_against_nothing(first: str, second: str) -> None:
    with pytest.raises(DataError, match="no change in percent"):
        change(read(first), read(second))


# Corruption

_DIFFERENCES = [
    (row, metric)
    for row in ("Llama 3 8B", "Llama 3 8B Instruct", "Mistral 7B", "Mistral 7B Instruct")
    for metric in ("rouge1", "rouge2", "rougeL", "bleu", "jaccard")
]


def _value(name: str, table: str, row: str, metric: str) -> str:
    found = from_document(document(name)).table(table).row(row).values[metric]
    assert found is not None
    return found.text


@pytest.mark.parametrize(("row", "metric"), _DIFFERENCES)
def test_any_corrupted_number_of_the_log_is_flagged(row: str, metric: str) -> None:
    text = f"{float(_value(DOCUMENTARY, 'log', row, metric)) + 0.01:.3f}"
    new = set(flags(corrupted(DOCUMENTARY, "log", row, metric, text))) - set(flags(document(DOCUMENTARY)))
    assert any(text in flag for flag in new)


@pytest.mark.parametrize("row", ["Llama", "Mistral"])
@pytest.mark.parametrize("metric", ["rouge1", "rouge2", "rougeL", "bleu", "jaccard"])
@pytest.mark.parametrize("by", [-0.1, 0.1, 9.9])
def test_any_corrupted_difference_of_the_log_is_flagged_with_the_recomputed_value(
    row: str, metric: str, by: float
) -> None:
    true = _value(DOCUMENTARY, "differences", row, metric)
    wrong = f"{float(true) + by:+.1f}"
    (flag,) = set(flags(corrupted(DOCUMENTARY, "differences", row, metric, wrong))) - set(flags(document(DOCUMENTARY)))
    assert f"{wrong} % is printed" in flag
    recomputed = float(flag.split(" = ")[-1].split(" %")[0])
    assert f"{recomputed:+.1f}" == true or abs(recomputed - float(true)) <= 0.051


@pytest.mark.parametrize("place", range(9))
def test_a_number_that_breaks_the_order_of_the_board_is_flagged(place: int) -> None:
    row = document(DOCUMENTARY)["tables"][0]["rows"][place]["name"]
    new = flags(corrupted(DOCUMENTARY, "board", row, "rouge1", "0.100" if place < 8 else "0.400"))
    assert any(flag.startswith(f"{row} stands {place + 1}.") for flag in new)


def test_readme_and_log_that_disagree_are_flagged() -> None:
    new = flags(corrupted(DOCUMENTARY, "log", "Qwen2.5 14B", "rouge1", "0.290"))
    assert any("Qwen2.5 14B, ROUGE-1: 0.289 here, 0.290 in the project's log" in flag for flag in new)


def test_a_number_with_fewer_decimals_agrees_with_what_it_rounds() -> None:
    assert flags(corrupted(DOCUMENTARY, "log", "Qwen2.5 14B", "jaccard", "0.16")) == flags(document(DOCUMENTARY))
    assert not any("here" in flag for flag in flags(corrupted(DOCUMENTARY, "log", "Qwen2.5 14B", "rouge1", "0.29")))


def test_a_flag_stands_below_the_table_that_it_is_about_and_is_counted() -> None:
    table = build(from_document(corrupted(DOCUMENTARY, "differences", "Llama", "bleu", "+9.0")))
    (section,) = [each for each in table.sections if "log's differences" in each.title]
    assert any(note.startswith("Flag: Llama, BLEU: +9.0 %") for note in section.notes)
    assert table.notes[0].startswith("18 printed numbers are derived from others, and were recomputed; 6 are flagged")
    assert [row[-1] for row in overview().sections[0].rows] == ["1", "6", "3", "1", "0"]


def test_a_percentage_above_100_is_flagged() -> None:
    (flag,) = flags(corrupted("potter_dialogue", "board", "LoRA", "bleu", "219.1"))
    assert flag == "LoRA, BLEU: 219.1 is no percentage of 0–100."


# Likelihoods


def with_both(ppl: str) -> dict[str, Any]:
    """Return the Chandler board as if it had printed perplexities too."""
    content = copy.deepcopy(document("chandler"))
    table = content["tables"][0]
    table["columns"].append({"metric": "ppl", "label": "PPL", "unit": "perplexity", "better": "lower", "ours": None})
    for row, text in zip(table["rows"], ("23.8", ppl), strict=True):
        row["values"]["ppl"] = text
    return content


def test_a_perplexity_follows_from_its_loss() -> None:
    assert flags(with_both("15.2")) == []


def test_a_perplexity_that_is_not_the_exponential_of_its_loss_is_flagged() -> None:
    told = flags(with_both("12.7"))
    assert any("after: PPL 12.7 is printed; exp(loss) of validation loss ~2.72 is 15.18" in flag for flag in told)
    assert any("ln(PPL)" in flag and "~2.72 is printed" in flag for flag in told)


def test_a_loss_and_its_perplexity_are_converted_both_ways() -> None:
    rows = {
        row["row"]: row for row in build(from_document(document("chandler"))).raw if row.get("check") == "likelihood"
    }
    assert rows["after"]["recomputed"] == pytest.approx(math.exp(2.72))
    assert rows["after"]["low"] == pytest.approx(math.exp(2.715))
    rows = {
        row["row"]: row
        for row in build(from_document(document("potter_dialogue"))).raw
        if row.get("check") == "likelihood"
    }
    assert rows["LoRA"]["recomputed"] == pytest.approx(math.log(26.46))


def test_a_mean_of_perplexities_bounds_the_mean_loss_and_gives_no_more() -> None:
    losses = [0.5, 1.5, 3.0]
    mean = sum(map(math.exp, losses)) / 3
    assert math.log(mean) >= sum(losses) / 3
    table = build(from_document(document("stories")))
    (section,) = [each for each in table.sections if "what these perplexities are" in each.title]
    assert all(row[5].startswith("at most ") for row in section.rows)
    assert any("isn't the perplexity of the corpus" in note for note in section.notes)


def test_a_perplexity_of_nothing_is_told() -> None:
    with pytest.raises(DataError, match="no perplexity"):
        checks.run(from_document(corrupted("friends_scripts", "board", "first setting", "ppl", "0.0")))


# Claims, facts and formulas


def claims(name: str = DOCUMENTARY) -> dict[str, list[str]]:
    sections = build(from_document(document(name))).sections
    (section,) = [each for each in sections if each.title.startswith("Recomputed: the winner's share")]
    return {row[0]: list(row) for row in section.rows}


def test_of_the_winner_s_achievements_one_follows_and_shares_are_those_of_plain_division() -> None:
    found = claims()
    assert found["ROUGE-1, achievement"][2:] == ["low end: 76.7; middle: 72.6; high end: 69.0", "flag"]
    assert found["ROUGE-2, achievement"][3] == "flag"
    assert found["BLEU, achievement"][3] == "follows from the middle"
    assert [round(100 * 0.345 / target, 1) for target in (0.45, 0.475, 0.50)] == [76.7, 72.6, 69.0]


def test_a_change_and_a_factor_are_recomputed_too() -> None:
    found = claims()
    assert found["phase 2 against phase 1, ROUGE-1"][2:] == ["Llama 3 8B Instruct: 5.2", "follows"]
    assert found["more samples (1,500 for 171)"][2:] == ["171: 8.8", "flag"]


def test_a_claim_that_would_follow_is_not_flagged() -> None:
    content = document(DOCUMENTARY)
    (spec,) = [check for check in content["checks"] if check["kind"] == "claims"]
    for claim, text in zip(spec["claims"], ("77", "66", "61", "5.2", "8.8"), strict=True):
        claim["printed"] = text
    (outcome,) = [each for each in checks.run(from_document(content)) if "share of its targets" in each.section.title]
    assert not outcome.flags
    assert [row[3] for row in outcome.section.rows][:3] == [
        f"follows from the {end}" for end in ("low end", "middle", "high end")
    ]


def test_a_kind_of_claim_that_is_not_known_is_named() -> None:
    content = document(DOCUMENTARY)
    (spec,) = [check for check in content["checks"] if check["kind"] == "claims"]
    spec["claims"][0]["as"] = "shares"
    with pytest.raises(DataError, match="Did you mean share"):
        checks.run(from_document(content))


def test_what_others_contradict_is_flagged_and_counted() -> None:
    table = build(from_document(document("friends_scripts")))
    (section,) = [each for each in table.sections if each.title == "What else was printed"]
    assert ["quantization", "8-bit in its text", "flag: NF4 in its code"] in [list(row) for row in section.rows]
    assert "3 of 5 other facts are contradicted" in table.notes[0]


def test_about_is_kept_as_it_was_printed() -> None:
    found = read("~3.17")
    assert (found.text, float(found.value), found.decimals) == ("~3.17", 3.17, 2)
    rows = build(from_document(document("chandler"))).sections[0].rows
    assert [row[1] for row in rows] == ["~3.17", "~2.72"]


def test_a_formula_that_gives_all_that_was_printed_is_named() -> None:
    content = document(DOCUMENTARY)
    margins = next(table for table in content["tables"] if table["key"] == "margins")
    for row, text in zip(margins["rows"], ("+9", "+8", "+11"), strict=True):
        row["values"]["rouge1"] = text
    (section,) = [each for each in build(from_document(content)).sections if each.title.startswith("Recomputed: marg")]
    assert section.notes == ["What was printed (+9 %, +8 %, +11 %) is 1 − loser/winner cut off."]
