"""`python -m analysis judge`: a model judges the pairs of a rating key. Nothing is sent unless this is run."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from persona_sweeps.errors import UserError
from persona_sweeps.records.files import write_bytes

from ..formats import FORMATS, load
from ..rating.answers import Answers
from ..rating.calibration import against_people, conduct
from ..rating.design import PAIRWISE, QUESTIONS, Key
from ..rating.endpoint import Endpoint
from ..rating.judging import JudgeVerdict, judge
from ..rating.reading import Rating, Ratings, read
from ..rating.results import results
from ..rating.sheet import answers_csv
from .rate import read_key

SUMMARY = "an optional model judge of the pairs of a rating key, behind any OpenAI-compatible endpoint"


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
    parser.add_argument("--people", nargs="+", default=[], type=Path, metavar="SHEET", help="sheets to compare with")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the judge's answers as a rating sheet (CSV)")
    parser.add_argument(
        "--cache", type=Path, default=Path("multirun_outputs/judge"), metavar="DIR", help="where answers are kept"
    )
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for one answer (default: 60)")
    parser.add_argument("--retries", type=int, default=4, metavar="N", help="after a failed request (default: 4)")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="requests at a time (default: 4)")
    parser.add_argument("--format", choices=FORMATS, default="md", help="the form of the tables (default: md)")


def run(options: argparse.Namespace) -> int:
    """Ask the judge and print what it says; 1 when not one unit got a verdict."""
    key = read_key(options.key)
    if key.design != PAIRWISE:
        raise UserError(f"{options.key} is of a {key.design} sheet, and a judge compares pairs: --design pairwise.")
    if options.timeout <= 0 or options.retries < 0 or options.parallel < 1:
        raise UserError("--timeout must be more than 0, --retries 0 or more, and --parallel 1 or more.")
    people = read(options.people, key)
    secret = os.environ.get(options.key_env)
    endpoint = Endpoint(options.base_url, options.model, secret, options.timeout, options.retries)
    verdicts, tally = judge(key, endpoint, Answers(options.cache), options.parallel)
    found = _ratings(key, verdicts, options.model)
    table = results(key, found, f"Judgements by {options.model} of sheet {key.sheet}")
    more = [conduct(verdicts), *([against_people(verdicts, people.ratings)] if people.ratings else [])]
    notes = [f"{tally.asked} requests, {tally.cached} answers from disk.", *people.problems, *table.notes]
    judged = [section for section in table.sections if section.title != "agreement"]
    print(load(options.format).render([replace(table, sections=[*judged, *more], notes=notes)]))
    if options.out:
        answers = {v.unit.unit: {q: v.answer(q) or "" for q in QUESTIONS[PAIRWISE]} for v in verdicts}
        write_bytes(options.out, answers_csv(key, f"judge {options.model}", answers).encode("utf-8", "replace"))
        print(f"Wrote {options.out}", file=sys.stderr)
    return 0 if found.ratings else 1


def _ratings(key: Key, verdicts: list[JudgeVerdict], model: str) -> Ratings:
    """Return what the judge said as ratings, a preference only where both orders agree."""
    found = Ratings()
    for verdict in verdicts:
        for question in QUESTIONS[key.design]:
            answer = verdict.answer(question)
            if answer is None:
                found.blank += 1
            else:
                found.ratings.append(Rating(f"judge {model}", verdict.unit, question, answer))
    return found
