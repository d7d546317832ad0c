"""A stand-in for `sacct` on a cluster without an accounting database: answers from what slurmctld still remembers.

It knows the options that clients of this project use, and refuses every other one. Unlike the real one it shows each
task of a waiting array in a row of its own, and a requeued job only as it stands now, never as it ended before.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

# sacct's column: squeue's (`squeue --Format`).
COLUMNS = {
    "jobid": "JobArrayID",
    "jobname": "Name",
    "partition": "Partition",
    "state": "State",
    "exitcode": "exit_code",
    "nodelist": "NodeList",
}


# States that only the controller speaks of; an accounting database knows such a job as running or as waiting.
RUNNING = {"COMPLETING", "CONFIGURING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED"}
PENDING = {"REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("sacct", allow_abbrev=False)
    parser.add_argument("-j", "--jobs", action="append", default=[])
    parser.add_argument("-o", "--format", default="JobID,JobName,Partition,State,ExitCode")
    parser.add_argument("-n", "--noheader", action="store_true")
    parser.add_argument("-P", "--parsable2", action="store_true", required=True)
    parser.add_argument("-X", "--allocations", action="store_true", help="always so: no steps are known")
    return parser.parse_args(arguments)


def value(column: str, text: str) -> str:
    """Return `text`, squeue's value of a column, as sacct writes it."""
    if column == "state":
        told = {"CANCELLED": f"CANCELLED by {os.getuid()}"}
        return "RUNNING" if text in RUNNING else "PENDING" if text in PENDING else told.get(text, text)
    if column == "exitcode":
        return f"{int(text) >> 8}:{int(text) & 127}"
    return text or ("None assigned" if column == "nodelist" else "")


def main() -> int:
    asked = parse(sys.argv[1:])
    columns = asked.format.split(",")
    keys = [column.partition("%")[0].lower() for column in columns]
    if unknown := set(keys) - set(COLUMNS):
        sys.exit(f"sacct: this stand-in has no column {', '.join(sorted(unknown))}")
    command = ["squeue", "--noheader", "--all", "--array", "--states=all"]
    command += [f"--jobs={','.join(asked.jobs)}"] * bool(asked.jobs)
    command += ["--Format", ",".join(f"{COLUMNS[key]}:|" for key in keys)]
    found = subprocess.run(command, capture_output=True, text=True)
    # A job that was forgotten, or never was, is no error of sacct's.
    if found.returncode and "Invalid job id" not in found.stderr:
        sys.exit(found.stderr)
    if not asked.noheader:
        print("|".join(columns))
    for line in found.stdout.splitlines():
        print("|".join(value(key, text) for key, text in zip(keys, line.split("|"), strict=False)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
