"""`persona-sweeps publish`: put a run on the Hugging Face Hub, with a model card made of its record."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.cli.choosing import add_choice, chosen_run
from persona_sweeps.wording import size


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    made = argparse.ArgumentParser(
        prog="persona-sweeps publish",
        description="Put what a run trained on the Hugging Face Hub, with its persona card, its record and a model "
        "card made of it: base and licence, data, settings, metrics with intervals beside comparable runs, and how to "
        "use it. The repository is private unless --public says otherwise.",
        epilog="persona-sweeps publish --best demo --repo me/falstaff --dry-run",
    )
    add_choice(made)
    made.add_argument("--repo", required=True, metavar="USER/NAME", help="the repository; it is made if there is none")
    made.add_argument(
        "--with",
        action="append",
        default=[],
        type=Path,
        dest="extras",
        metavar="FOLDER",
        help="also what `merge` or `gguf` made of the run; may be given again",
    )
    made.add_argument("--public", action="store_true", help="anyone may see a repository that is made")
    made.add_argument("--dry-run", action="store_true", help="write the folder, and send nothing")
    made.add_argument("--out", type=Path, metavar="FOLDER", help="where the folder is written (OUTPUT_DIR/publish/RUN)")
    return made


def main(words: Sequence[str]) -> None:
    """Run the command."""
    options = parser().parse_args(words)
    from persona_sweeps.deployment.publishing.upload import require_name, upload

    require_name(options.repo)
    run, why = chosen_run(options)
    from persona_sweeps.deployment.publishing.repository import CARD, Extras, write_repository
    from persona_sweeps.execution.quiet import quiet_libraries

    quiet_libraries()
    extras = Extras.of(options.extras, run)
    if why:
        print(why)
    folder = options.out or options.output_dir / "publish" / run.name
    write_repository(run, folder, options.repo, extras, options.output_dir)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(f"  {path.relative_to(folder)} ({size(path.stat().st_size)})")
    if options.dry_run:
        print(f"Wrote {folder}, and sent nothing. Read {folder / CARD}; without --dry-run it goes to {options.repo}.")
        return
    address = upload(folder, options.repo, options.public, f"Publish run {run.record['run_id']} of persona-sweeps")
    print(f"Published at {address}{'' if options.public else ', private if it was made now'}.")
