"""The columns of pairs, and of the wins of families."""

from __future__ import annotations

from ...read.labels import model_label
from .. import wording
from ..numbers import rate
from ..references import with_rate
from ..table import Column
from .pairs import ModelPair


def _difference(row: ModelPair) -> str:
    base, instruct = row.means
    form = row.measure.form
    return wording.absolute(row.pair.absolute, form) if row.pair.absolute else wording.signed(form)(instruct - base)


def _share(row: ModelPair) -> str | None:
    interval = row.pair.relative.interval if row.pair.relative else None
    if row.change is None or wording.is_nothing(row.means[0], row.measure.form):
        return None
    return wording.share(row.change, interval)


_MODELS = [
    Column(value=lambda row: row.base.first.key, raw="comparability_key"),
    Column("base", right=False, value=lambda row: model_label(row.base.first)),
    Column("instruct", right=False, value=lambda row: model_label(row.instruct.first)),
    Column(value=lambda row: row.base.first.get("config.model.name"), raw="base"),
    Column(value=lambda row: row.instruct.first.get("config.model.name"), raw="instruct"),
    Column(value=lambda row: row.base.first.get("config.model.scale"), raw="scale"),
    Column(value=lambda row: row.base.first.get("config.quantization.method"), raw="quantization"),
]
_VALUES = [
    Column("metric", right=False, value=lambda row: row.measure.label),
    Column(value=lambda row: row.measure.short, raw="metric"),
    Column("base [95 %]", value=lambda row: row.reading(row.base).text(row.measure.form)),
    Column("instruct [95 %]", value=lambda row: row.reading(row.instruct).text(row.measure.form)),
    Column("instruct − base", value=_difference),
    Column("in %", value=_share),
    Column(value=lambda row: row.means[0], raw="base_value"),
    Column(value=lambda row: row.means[1], raw="instruct_value"),
    Column(value=lambda row: row.change, raw="instruct_over_base"),
    Column("p", value=lambda row: row.pair.corrected, form=wording.p_value),
    Column("better", right=False, value=lambda row: wording.verdict(row.pair, row.measure, "instruct", "base")),
    Column(value=lambda row: row.pair, raw="instruct_base"),
    Column(value=lambda row: " ".join(row.base.run_ids), raw="base_run_ids"),
    Column(value=lambda row: " ".join(row.instruct.run_ids), raw="instruct_run_ids"),
]
COLUMNS = [
    *_MODELS,
    Column(value=lambda row: "same setting", raw="row"),
    Column("method", right=False, value=lambda row: row.base.label, raw="setting"),
    Column("learning rate", value=lambda row: row.base.learning_rate, form=rate, raw="learning_rate"),
    Column("seeds", value=lambda row: row.seeds),
    *_VALUES,
]
BEST = [
    *_MODELS,
    Column(value=lambda row: "each at its best", raw="row"),
    Column("best of base", right=False, value=lambda row: _setting(row, 0), raw="setting"),
    Column("best of instruct", right=False, value=lambda row: _setting(row, 1), raw="instruct_setting"),
    Column("tried", value=lambda row: ", ".join(dict.fromkeys(map(str, row.tried)))),
    Column("seeds", value=lambda row: row.seeds),
    *_VALUES,
]


def _setting(row: ModelPair, side: int) -> str:
    return with_rate((row.base, row.instruct)[side])


FAMILIES = [
    Column("family", right=False, value=lambda row: row.family),
    Column("metric", right=False, value=lambda row: row.measure.label),
    Column("pairs", value=lambda row: len(row.rows)),
    Column("instruct ahead", value=lambda row: row.ahead(True)),
    Column("base ahead", value=lambda row: row.ahead(False)),
    Column("ties", value=lambda row: len(row.rows) - row.ahead(True) - row.ahead(False)),
    Column("instruct shown better", value=lambda row: row.shown("instruct")),
    Column("base shown better", value=lambda row: row.shown("base")),
]
