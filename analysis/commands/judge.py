"""`python -m analysis judge`: a model judges the replies of a rating key, if it can name the speakers of real lines.

Nothing is sent unless this is run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from persona_sweeps.errors import UserError
from persona_sweeps.records.files import write_bytes

from ..formats import FORMATS, load
from ..rating.answers import Answers
from ..rating.asking import Judge
from ..rating.calibration import against_people, conduct
from ..rating.design import LIKERT, PAIRWISE, QUESTIONS, Key
from ..rating.endpoint import Endpoint
from ..rating.exam import ExamResult, draw_exam, examine
from ..rating.exam_results import barred, in_short, with_exam
from ..rating.gca import grade, references
from ..rating.gca_results import as_lines, gca_table
from ..rating.judging import JudgeVerdict, judge
from ..rating.reading import Rating, Ratings, read
from ..rating.real_lines import lines_in, lines_of, rated_results
from ..rating.results import results
from ..rating.sheet import answers_csv
from ..read.results import RunResult
from ..read.selection import read_all
from ..tables.table import Table
from . import options as common
from .rate import read_key

SUMMARY = "an optional model judge of a rating key, behind any OpenAI-compatible endpoint, after an entry exam"
LEAST_LINES = 12


@dataclass(frozen=True)
class Judged:
    """What a judge says: a table, and the content of --out; `is_empty` if not one unit has a verdict."""

    table: Table
    out: str
    is_empty: bool


Judging = Callable[[Judge, ExamResult], Judged]
"""asks a judge that has passed its exam"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="the key that `rate make` wrote")
    parser.add_argument("--base-url", required=True, metavar="URL", help="such as http://localhost:8000/v1")
    parser.add_argument("--model", required=True, metavar="NAME", help="the judge's name there")
    parser.add_argument(
        "--key-env",
        default="OPENAI_API_KEY",
        metavar="VARIABLE",
        help="the environment variable that has the API key, if one is needed (default: OPENAI_API_KEY)",
    )
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="pairwise",
        help="pairwise: which of two replies is better, in both orders; gca: the flaws of each reply against the real "
        "line, as CoSER has it, for a key of --design likert (default: pairwise)",
    )
    parser.add_argument(
        "--exam",
        type=Path,
        metavar="FILE",
        help="more lines for the entry exam, of other speakers: JSON Lines with line, speaker and, if known, scene",
    )
    parser.add_argument(
        "--exam-lines", type=int, default=40, metavar="N", help="lines whose speaker it must name (default: 40)"
    )
    parser.add_argument(
        "--bar",
        type=float,
        metavar="SHARE",
        help="what the lower end of the exam's 95 %% interval must exceed, such as 0.6 (default, and least: chance)",
    )
    parser.add_argument("--people", nargs="+", default=[], type=Path, metavar="SHEET", help="sheets to compare with")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the answers: as a rating sheet (CSV), or of gca as JSON Lines"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("multirun_outputs/judge"), metavar="DIR", help="where answers are kept"
    )
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for one answer (default: 60)")
    parser.add_argument("--retries", type=int, default=4, metavar="N", help="after a failed request (default: 4)")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="requests at a time (default: 4)")
    parser.add_argument("--format", choices=FORMATS, default="md", help="the form of the tables (default: md)")
    common.add_output_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Examine the judge, ask it, and print what it says; 1 when it fails the exam, or not one unit got a verdict."""
    _check(options)
    key = read_key(options.key)
    rated = rated_results(key, read_all(options.output_dir).results)
    judging = PROTOCOLS[options.protocol](key, rated, options)
    lines = [*lines_of(list(rated.values())), *(lines_in(options.exam) if options.exam else [])]
    questions = draw_exam(lines, [unit.persona for unit in key.units], options.exam_lines, key.seed)
    secret = os.environ.get(options.key_env)
    endpoint = Endpoint(options.base_url, options.model, secret, options.timeout, options.retries)
    by = Judge(endpoint, Answers(options.cache), options.parallel)
    exam = examine(questions, by, options.bar)
    render = load(options.format).render
    if not exam.has_passed:
        print(render([barred(exam, _requests(by))]))
        return 1
    judged = judging(by, exam)
    table = with_exam(judged.table, exam)
    print(render([replace(table, notes=[_requests(by), *table.notes])]))
    if options.out:
        write_bytes(options.out, judged.out.encode("utf-8", "replace"))
        print(f"Wrote {options.out}", file=sys.stderr)
    return 1 if judged.is_empty else 0


def _check(options: argparse.Namespace) -> None:
    if options.timeout <= 0 or options.retries < 0 or options.parallel < 1:
        raise UserError("--timeout must be more than 0, --retries 0 or more, and --parallel 1 or more.")
    if options.exam_lines < LEAST_LINES:
        raise UserError(f"--exam-lines {options.exam_lines} says nothing of a judge: give {LEAST_LINES} or more.")
    if options.bar is not None and not 0 <= options.bar < 1:
        raise UserError(f"--bar {options.bar:g} must be a share from 0 to 1, such as 0.6.")


def _requests(by: Judge) -> str:
    return f"{by.tally.asked} requests, {by.tally.cached} answers from disk."


def _need(design: str, key: Key, options: argparse.Namespace, why: str) -> None:
    if key.design != design:
        raise UserError(
            f"{options.key} is of a {key.design} sheet, and --protocol {options.protocol} {why}: make one with "
            f"--design {design}."
        )


def _pairwise(key: Key, rated: Mapping[str, RunResult], options: argparse.Namespace) -> Judging:
    """Compare the replies of a pairwise key."""
    _need(PAIRWISE, key, options, "compares pairs")
    people = read(options.people, key)

    def judging(by: Judge, exam: ExamResult) -> Judged:
        verdicts = judge(key, by)
        name = f"judge {options.model} ({in_short(exam)})"
        found = _ratings(key, verdicts, name)
        table = results(key, found, f"Judgements by {options.model} of sheet {key.sheet}")
        more = [conduct(verdicts), *([against_people(verdicts, people.ratings)] if people.ratings else [])]
        judged = [section for section in table.sections if section.title != "agreement"]
        table = replace(table, sections=[*judged, *more], notes=[*people.problems, *table.notes])
        answers = {v.unit.unit: {q: v.answer(q) or "" for q in QUESTIONS[PAIRWISE]} for v in verdicts}
        return Judged(table, answers_csv(key, name, answers), not found.ratings)

    return judging


def _gca(key: Key, rated: Mapping[str, RunResult], options: argparse.Namespace) -> Judging:
    """Grade each reply of a Likert key against the real line."""
    _need(LIKERT, key, options, "grades each reply alone")
    if options.people:
        raise UserError("--people answer other questions than --protocol gca asks: leave them out.")
    real = references(key, rated)

    def judging(by: Judge, exam: ExamResult) -> Judged:
        graded = grade(key, by, real)
        table = gca_table(key, graded, rated, f"GCA by {options.model} of sheet {key.sheet}")
        return Judged(table, as_lines(graded), all(one.flaws is None for one in graded))

    return judging


PROTOCOLS: dict[str, Callable[[Key, Mapping[str, RunResult], argparse.Namespace], Judging]] = {
    "pairwise": _pairwise,
    "gca": _gca,
}
"""What a judge can be asked. Each checks the key and what else it needs before anything is sent."""


def _ratings(key: Key, verdicts: list[JudgeVerdict], rater: str) -> Ratings:
    """Return what the judge said as ratings, a preference only where both orders agree."""
    found = Ratings()
    for verdict in verdicts:
        for question in QUESTIONS[key.design]:
            answer = verdict.answer(question)
            if answer is None:
                found.blank += 1
            else:
                found.ratings.append(Rating(rater, verdict.unit, question, answer))
    return found
