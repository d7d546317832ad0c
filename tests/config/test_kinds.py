"""Kinds: each has a YAML file with its keys, mistakes are explained, and one's own is a class and a YAML file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir

from persona_sweeps.config import kinds
from persona_sweeps.config.kinds import GENERATION, GROUPS, METRICS, PEFT, SOURCES, KindGroup
from persona_sweeps.config.mistakes import explain
from persona_sweeps.config.predictor import Predictor
from persona_sweeps.config.schema import RunConfig, register_schemas, typed
from persona_sweeps.config.validate import validate
from persona_sweeps.data import load_corpus
from persona_sweeps.data.source import Source
from persona_sweeps.metrics.metric import TEXT, Metric
from persona_sweeps.prediction.decoding import Generation
from persona_sweeps.tracking.tracker import Tracker

CONF = Path(__file__).resolve().parents[2] / "conf"
KINDS = [(group, name) for group in GROUPS for name in group.builtin]
BASES: dict[str, type] = {
    "peft": Predictor, "dataset": Source, "metrics": Metric, "generation": Generation, "tracker": Tracker,
}  # fmt: skip

each_group = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
each_kind = pytest.mark.parametrize(("group", "name"), KINDS, ids=[f"{group.name}={name}" for group, name in KINDS])


def written(group: KindGroup, name: str) -> dict[str, Any]:
    """Return the keys of a kind's YAML file, with those that all sources share."""
    content = yaml.safe_load((CONF / group.name / f"{name}.yaml").read_text())
    if group.name == "dataset":
        content = {**yaml.safe_load((CONF / "dataset/shared/keys.yaml").read_text()), **content}
    return content[name] if group.key is None else {key: content[key] for key in content if key != "defaults"}


@each_group
def test_every_kind_has_a_yaml_file_of_its_name_and_every_file_a_kind(group: KindGroup) -> None:
    assert {path.stem for path in (CONF / group.name).glob("*.yaml")} == set(group.builtin)


@each_kind
def test_a_yaml_file_holds_every_key_of_its_kind_and_no_other(group: KindGroup, name: str) -> None:
    keys = written(group, name)
    assert set(keys) == {field.name for field in fields(group.find(name))}
    if group.key is not None:
        assert keys[group.key] == name


@each_kind
def test_a_kind_is_made_of_its_yaml_file_and_is_a_class_of_its_own(group: KindGroup, name: str) -> None:
    given = {key: "given" if value == "???" else value for key, value in written(group, name).items()}
    made = group.make(name, given)
    assert type(made) is group.find(name) and isinstance(made, BASES[group.name])
    assert sum(group.find(other) is type(made) for other in group.builtin) == 1


def test_no_kind_imports_a_heavy_library() -> None:
    program = (
        "import sys\n"
        "from persona_sweeps.config.kinds import GROUPS\n"
        "found = [group.find(name) for group in GROUPS for name in group.builtin]\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'evaluate', 'peft') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=CONF.parent)
    assert done.stdout.strip() == "[]", done.stderr


Compose = Callable[..., RunConfig]


@pytest.fixture
def composed(tmp_path: Path, dialogue: Path) -> Compose:
    """A function of overrides that gives a typed config; it finds the options in tmp_path/conf too."""
    register_schemas()
    (tmp_path / "conf").mkdir()
    usual = ["dataset=jsonl", f"dataset.path={dialogue}"]

    def made(*overrides: str) -> RunConfig:
        data = [] if "dataset=tsv" in overrides else usual
        with initialize_config_dir(str(CONF), version_base="1.3"):
            search = f"hydra.searchpath=[{tmp_path / 'conf'}]"
            return typed(compose("config", overrides=[search, *data, *overrides]))

    return made


WRONG = [
    ("+metrics.likelihood.alltokens=true", "metrics.likelihood.alltokens is not a key of Likelihood."),
    ("+metrics.likelihood.alltokens=true", "Did you mean all_tokens?"),
    ("metrics.likelihood.alltokens=true", "metrics.likelihood.alltokens is not a key of this config."),
    ("metrics.likelihood.all_tokens=maybe", "metrics.likelihood.all_tokens=maybe must be true or false."),
    ("metrics.overlap.stemmer=null", "metrics.overlap.stemmer=null: this key needs a value."),
    ("metrics.overlap=3", "metrics.overlap=3 must be a mapping of keys, or null to drop it."),
    (
        "+metrics.likelyhood.all_tokens=true",
        "metrics=likelyhood is unknown: choose one of likelihood, overlap, ",
    ),
    ("metrics=[likelyhood]", "Did you mean likelihood?"),
    ("metrics=[]", "metrics is empty"),
    ("dataset.limit=many", "dataset.limit=many must be a whole number."),
    ("dataset.path=???", "dataset.path has no default"),
    ("generation.max_new_tokens=x", "generation.max_new_tokens=x must be a whole number."),
    ("generation.temperature=1", "generation.temperature is a key of generation=nucleus only."),
    ("generation=nuclear", "Did you mean nucleus? The options are greedy, nucleus."),
]


@pytest.mark.parametrize(("override", "sentence"), WRONG)
def test_a_wrong_key_or_value_is_reported_in_a_sentence_with_its_full_name(
    composed: Compose, override: str, sentence: str
) -> None:
    with pytest.raises(Exception) as refused:  # Hydra's, OmegaConf's or ours
        composed(override)
    message = explain(refused.value, CONF)
    assert message is not None and sentence in message and "\n" not in message


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("dataset.source=shakespeare", "lacks its own settings: choose the whole group, dataset=shakespeare."),
        (
            "dataset.source=json",
            f"dataset.source=json is unknown: choose one of {', '.join(SOURCES.builtin)}. Did you mean jsonl?",
        ),
        ("generation.method=nucleus", "lacks its own settings: choose the whole group, generation=nucleus."),
        ("generation.method=beam", "generation.method=beam is unknown: choose one of greedy, nucleus."),
    ],
)
def test_a_name_without_the_keys_that_belong_to_it_is_refused(composed: Compose, override: str, sentence: str) -> None:
    config = composed(override)
    with pytest.raises(Exception, match=sentence.replace(".", r"\.").replace("?", r"\?")):
        validate(config)


def test_a_metric_that_is_null_is_not_there(composed: Compose) -> None:
    assert list(composed("metrics.likelihood=null").metrics) == ["overlap"]


def test_nothing_is_generated_unless_a_metric_reads_texts(composed: Compose) -> None:
    both, neither = composed(), composed("metrics=likelihood")
    assert both.new_tokens == both.generation.max_new_tokens and TEXT in both.requests
    assert neither.new_tokens == 0 and TEXT not in neither.requests
    assert len(set(both.requests)) == len(both.requests)


METRIC = '''
"""How far a text's length is from the reference's: lower is better."""

from dataclasses import dataclass

from persona_sweeps.metrics.metric import TEXT, Description, Metric, Scores


@dataclass
class LengthError(Metric):
    unit: str = "words"
    weight: float = 1.0

    def check(self, config):
        if self.unit not in ("words", "letters"):
            yield f"metrics.length_error.unit={self.unit} must be words or letters."

    def requests(self):
        return (TEXT,)

    def version(self):
        return f"1, {self.unit}, {self.weight}"

    def describe(self):
        how = {"form": "mean", "of": "length_error"}
        return {"length_error": Description("length error", False, (0, None), self.version(), how, headline=1)}

    def score(self, predictions):
        size = len if self.unit == "letters" else lambda text: len(text.split())
        gaps = [self.weight * abs(size(line["text"]) - size(line["reference"])) for line in predictions[TEXT]]
        return Scores({"length_error": sum(gaps) / len(gaps)}, [{"length_error": gap} for gap in gaps])
'''

SOURCE = '''
"""One example a line: prompt, a tab, completion."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from persona_sweeps.data.example import Example
from persona_sweeps.data.source import Reading, Source
from persona_sweeps.errors import DataError


@dataclass
class Tsv(Source):
    source: str = "tsv"
    path: str = "???"
    separator: str = "\\t"

    def check(self, config):
        yield from super().check(config)
        if not self.separator:
            yield "dataset.separator is empty."

    def files(self):
        return [Path(self.path)]

    def read(self):
        text = Path(self.path).read_text()
        pairs = [line.split(self.separator) for line in text.splitlines()]
        if any(len(pair) != 2 for pair in pairs):
            raise DataError(f"{self.path} has a line without its two columns.")
        examples = [Example(f"line-{n}", a, b, cluster=f"c{n // 2}") for n, (a, b) in enumerate(pairs)]
        return Reading(examples, hashlib.sha256(text.encode()).hexdigest())
'''
METRIC_YAML = "# Lengths.\nlength_error:\n  _target_: their_kinds.LengthError\n  unit: letters\n"
SOURCE_YAML = "# A table.\n_target_: their_kinds.Tsv\npath: ???\nlimit: null\neval_fraction: 0.25\n"


@pytest.fixture
def their_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, composed: Compose) -> Compose:
    """The same function, where another package has a metric and a source, and tmp_path/conf a file for each."""
    (tmp_path / "their_kinds.py").write_text(METRIC + SOURCE)
    for group, name, text in (("metrics", "length_error", METRIC_YAML), ("dataset", "tsv", SOURCE_YAML)):
        (tmp_path / "conf" / group).mkdir()
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_kinds", raising=False)
    return composed


def test_a_metric_of_one_s_own_is_a_class_and_a_yaml_file(their_kinds: Compose) -> None:
    config = their_kinds("metrics=[overlap,length_error]", "+metrics.length_error.weight=0.5")
    validate(config)
    metric = config.metrics["length_error"]
    assert (metric.unit, metric.weight, metric.needs_model) == ("letters", 0.5, False)
    lines = [{"text": "to be", "reference": "to be or not"}, {"text": "words", "reference": "words"}]
    scores = metric.score({TEXT: lines})
    assert scores.whole == {"length_error": 1.75}
    described = metric.describe()["length_error"]
    assert not described.higher_is_better and json.dumps(described.as_record())
    assert sum(item["length_error"] for item in scores.items) / 2 == scores.whole["length_error"]


def test_a_source_of_one_s_own_is_a_class_and_a_yaml_file(their_kinds: Compose, tmp_path: Path) -> None:
    table = tmp_path / "lines.tsv"
    table.write_text("".join(f"Who's there ({n})?\tAnswer {n}.\n" for n in range(12)))
    config = their_kinds("dataset=tsv", f"dataset.path={table}", "dataset.limit=5")
    validate(config)
    corpus = load_corpus(config.dataset)
    assert config.dataset.label == "tsv" and len(corpus.train) == 5 and corpus.eval
    assert load_corpus(config.dataset) is corpus
    table.write_text(table.read_text().replace("Answer", "Reply"))
    assert all(example.completion.startswith("Reply") for example in load_corpus(config.dataset).train)


LENGTH, TABLE = "metrics=length_error", "dataset=tsv"
THEIR_MISTAKES = [
    ([LENGTH, "+metrics.length_error.wieght=1"], "metrics.length_error.wieght is not a key of LengthError."),
    ([LENGTH, "+metrics.length_error.weight=much"], "metrics.length_error.weight=much must be a number."),
    ([LENGTH, "metrics.length_error.unit=bytes"], "metrics.length_error.unit=bytes must be words or letters."),
    ([LENGTH, "metrics.length_error._target_=their_kinds.Length"], "_target_=their_kinds.Length can't be imported"),
    ([LENGTH, "metrics.length_error._target_=theirs.X"], "No module named 'theirs'"),
    ([LENGTH, "metrics.length_error._target_=builtins.dict"], "is no dataclass that subclasses persona_sweeps.metrics"),
    (
        [TABLE, "dataset._target_=their_kinds.LengthError"],
        "is no dataclass that subclasses persona_sweeps.data.",
    ),
    ([TABLE], "dataset.path has no default"),
    (
        [TABLE, "dataset.path=x", "+dataset.seperator=x"],
        "dataset.seperator is not a key of Tsv. Did you mean separator",
    ),
    ([TABLE, "dataset.path=x", "dataset.eval_fraction=2"], "dataset.eval_fraction=2 must lie between 0 and 1"),
    ([TABLE, "dataset.path=x", "+dataset.separator=''"], "dataset.separator is empty."),
]


@pytest.mark.parametrize(("overrides", "sentence"), THEIR_MISTAKES)
def test_mistakes_in_the_keys_of_one_s_own_kind_are_reported_like_any_other(
    their_kinds: Compose, overrides: list[str], sentence: str
) -> None:
    with pytest.raises(Exception) as refused:
        validate(their_kinds(*overrides))
    message = explain(refused.value, CONF)
    assert message is not None and sentence in message


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if their package had registered its kinds."""
    points = {
        METRICS.entry_points: [EntryPoint("length_error", "their_kinds:LengthError", METRICS.entry_points)],
        SOURCES.entry_points: [EntryPoint("tsv", "their_kinds:Tsv", SOURCES.entry_points)],
    }
    monkeypatch.setattr(kinds, "entry_points", lambda group: points.get(group, []))
    kinds._registered.cache_clear()
    yield
    kinds._registered.cache_clear()


def test_a_kind_of_an_installed_package_needs_no_file(their_kinds: Compose, installed: None, tmp_path: Path) -> None:
    assert METRICS.names() == [*METRICS.builtin, "length_error"]
    metric = their_kinds("+metrics.length_error.weight=2").metrics["length_error"]
    assert type(metric).__name__ == "LengthError" and metric.weight == 2.0
    assert SOURCES.make("tsv", {"path": "lines.tsv"}).files() == [Path("lines.tsv")]


def test_a_metric_alone_decides_whether_a_predictor_without_a_model_can_be_scored(their_kinds: Compose) -> None:
    validate(their_kinds("peft=nearest_reply", "metrics=length_error"))
    validate(their_kinds("peft=nearest_reply", "metrics=[likelihood,length_error]"))
    with pytest.raises(Exception, match="no probabilities, which metrics=\\[likelihood\\] needs"):
        validate(their_kinds("peft=nearest_reply", "metrics=likelihood"))


def test_two_metrics_that_give_a_value_of_one_name_are_refused(composed: Compose) -> None:
    config = composed()
    stemmed = METRICS.make("overlap", {"stemmer": True, "meteor": False, "ignore_case": True})
    twice = replace(config, metrics=config.metrics | {"stemmed": stemmed})
    with pytest.raises(Exception, match="metrics.overlap and metrics.stemmed both give a value rouge1"):
        validate(twice)


def test_groups_have_the_names_of_config_groups_and_keys_of_their_kinds() -> None:
    for group in GROUPS:
        assert (CONF / group.name).is_dir()
    assert [group.key for group in (PEFT, SOURCES, GENERATION)] == ["method", "source", "method"]
