"""The overlap metrics equal the libraries that define them, keep their bounds, and need no network."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import evaluate
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from persona_sweeps.metrics.metric import TEXT, Scores
from persona_sweeps.metrics.overlap import bleu, chrf, meteor, rouge
from persona_sweeps.metrics.overlap.overlap import Overlap

PREDICTIONS = [
    "To be, or not to be: that is the question.",
    "The croaking raven doth bellow.\nFor revenge, he is running!",
    "",
    "Words, words, words",
]
REFERENCES = [
    "To be or not to be, that's the question:",
    "He runs for revenge.\nThe raven croaks and bellows.",
    "My lord?",
    "Words, words, words",
]

FRACTIONS = {*rouge.KEYS, "bleu", "meteor", "chrf", "jaccard", "exact_match"}
texts = st.text(st.sampled_from("abcde ABC 12 .,|\n'éß漢"), max_size=40)
words = st.lists(st.text("abcdef", min_size=1, max_size=6), min_size=1, max_size=12)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise AssertionError("a metric opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def overlap(stemmer: bool = False, meteor: bool = True) -> Overlap:
    return Overlap(stemmer=stemmer, meteor=meteor, ignore_case=True)


def score(predictions: list[str], references: list[str], stemmer: bool = False) -> Scores:
    pairs = zip(predictions, references, strict=True)
    return overlap(stemmer).score({TEXT: [{"text": text, "reference": target} for text, target in pairs]})


@pytest.mark.parametrize("stemmer", [False, True])
def test_rouge_equals_the_mean_of_rouge_score(stemmer: bool) -> None:
    scorer = RougeScorer(list(rouge.KEYS), use_stemmer=stemmer)
    expected = [scorer.score(target, text) for text, target in zip(PREDICTIONS, REFERENCES, strict=True)]
    scores = score(PREDICTIONS, REFERENCES, stemmer)
    for key in rouge.KEYS:
        assert [item[key] for item in scores.items] == [values[key].fmeasure for values in expected]
        assert scores.whole[key] == pytest.approx(sum(values[key].fmeasure for values in expected) / len(expected))


def test_stemming_matches_inflected_words() -> None:
    plain, stemmed = (score(PREDICTIONS, REFERENCES, stemmer).whole["rouge1"] for stemmer in (False, True))
    assert stemmed > plain


def test_bleu_equals_sacrebleu_as_a_fraction() -> None:
    scores = score(PREDICTIONS, REFERENCES)
    assert 100 * scores.whole["bleu"] == pytest.approx(sacrebleu.corpus_bleu(PREDICTIONS, [REFERENCES]).score)
    for item, text, target in zip(scores.items, PREDICTIONS, REFERENCES, strict=True):
        assert 100 * item["bleu"] == pytest.approx(sacrebleu.sentence_bleu(text, [target]).score)


def test_evaluate_modules_loaded_by_path_agree_with_the_functions(no_network: None, tmp_path: Path) -> None:
    by_path = evaluate.load(str(Path(rouge.__file__)), cache_dir=str(tmp_path), module_type="metric")
    given_texts = {"predictions": PREDICTIONS, "references": REFERENCES}
    expected = score(PREDICTIONS, REFERENCES, stemmer=True).whole
    for module in (by_path, rouge.Rouge(cache_dir=str(tmp_path))):
        found = module.compute(**given_texts, use_stemmer=True)
        assert found == module.compute(**given_texts, use_stemmer=True)
        assert found == {key: expected[key] for key in rouge.KEYS}
    for name, of in (("meteor", meteor.Meteor), ("chrf", chrf.Chrf)):
        for module in (evaluate.load(str(Path(sys.modules[of.__module__].__file__ or ""))), of(keep_in_memory=True)):
            assert module.compute(**given_texts) == {name: expected[name]}
    for module in (evaluate.load(str(Path(bleu.__file__)), cache_dir=str(tmp_path)), bleu.Bleu(keep_in_memory=True)):
        assert module.compute(**given_texts) == {"bleu": expected["bleu"]}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4), st.booleans())
def test_scores_are_fractions(pairs: list[tuple[str, str]], stemmer: bool) -> None:
    scores = score([text for text, _ in pairs], [target for _, target in pairs], stemmer)
    assert len(scores.items) == len(pairs)
    for values in [scores.whole, *scores.items]:
        fractions = {name: value for name, value in values.items() if name in FRACTIONS}
        assert set(fractions) == FRACTIONS
        assert all(0 <= value <= 1 for value in fractions.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1, max_size=4), st.sampled_from([" ", "\n"]))
def test_identical_texts_score_one(items: list[list[str]], separator: str) -> None:
    same = [separator.join(item) for item in items]
    for item, values in zip(items, score(same, same).items, strict=True):
        assert [values[key] for key in ("rouge1", "rougeL", "rougeLsum", "bleu")] == pytest.approx([1, 1, 1, 1])
        assert values["rouge2"] == (1 if len(item) > 1 else 0), "one word has no bigram"


@given(words, words)
@settings(max_examples=40, deadline=None)
def test_rouge_lsum_of_single_lines_is_rouge_l(first: list[str], second: list[str]) -> None:
    values = score([" ".join(first)], [" ".join(second)]).items[0]
    assert values["rougeLsum"] == pytest.approx(values["rougeL"])


def test_newlines_split_sentences_for_rouge_lsum() -> None:
    values = score(["b c\na a"], ["a a\nb c"]).items[0]
    assert values["rougeLsum"] == 1 and values["rougeL"] == 0.5


def test_empty_predictions_and_references_score_zero() -> None:
    assert set(score([""], ["words here"]).whole.values()) == {0.0}
    assert set(score(["words here"], [""]).whole.values()) == {0.0}
    assert "length_ratio" not in score(["words here"], [""]).whole, "there is nothing to divide by"
    assert not any(math.isnan(value) for value in score([""], [""]).whole.values())


def test_no_items_give_no_values() -> None:
    assert score([], []) == Scores({}, [])
    assert rouge.Rouge(keep_in_memory=True).compute(predictions=[], references=[]) == {}
    assert bleu.Bleu(keep_in_memory=True).compute(predictions=[], references=[]) == {}


@pytest.mark.parametrize("function", [bleu.per_item, bleu.corpus, rouge.per_item, chrf.per_item, meteor.per_item])
def test_unequal_lengths_are_refused(function: Callable) -> None:
    with pytest.raises(ValueError, match="1 predictions for 2 references|shorter|longer"):
        function(["a"], ["a", "b"])


@pytest.mark.parametrize("stemmer", [False, True])
def test_versions_name_what_is_installed_and_each_value_s_own_settings(stemmer: bool) -> None:
    metric = overlap(stemmer)
    described = metric.describe()
    assert f"rouge_score {version('rouge_score')}" in described["rougeL"].version
    assert f"sacrebleu {version('sacrebleu')}" in described["bleu"].version
    assert all(description.version in metric.version() for description in described.values())


def test_the_stemmer_makes_another_rouge_and_the_same_bleu() -> None:
    plain, stemmed = (overlap(stemmer).describe() for stemmer in (False, True))
    assert {name for name in plain if plain[name].version != stemmed[name].version} == set(rouge.KEYS)


def test_describing_imports_no_heavy_library() -> None:
    probe = (
        "import sys; from persona_sweeps.metrics.likelihood import Likelihood; "
        "from persona_sweeps.metrics.overlap.overlap import Overlap;"
        "[(metric.describe(), metric.version()) for metric in (Likelihood(True), Overlap(True, True, True))];"
        "sys.exit(any(name in sys.modules for name in "
        "('torch', 'numpy', 'datasets', 'evaluate', 'sacrebleu', 'rouge_score', 'nltk')))"
    )
    assert subprocess.run([sys.executable, "-c", probe], cwd=Path(__file__).parents[3]).returncode == 0
