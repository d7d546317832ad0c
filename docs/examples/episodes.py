"""`python docs/examples/episodes.py episodes.csv`: 200 scenes of Shakespeare as a CSV of episodes, to try things on."""

from __future__ import annotations

import csv
import sys

from persona_sweeps.data.plays.library import display_name, open_play, play_paths
from persona_sweeps.data.plays.plays import Speech

FIRST = ("henry-iv-part-1", "henry-iv-part-2", "merry-wives-of-windsor")
"""the plays with Falstaff"""


def main(path: str, count: int = 200) -> None:
    files = sorted(play_paths(), key=lambda file: (file.stem not in FIRST, file.stem))
    rows = []
    for file in files:
        play = open_play(file)
        for number, (_, scene) in enumerate(play.scenes(), start=1):
            lines = [
                f"{display_name(item.speaker)}: {' '.join(' '.join(item.lines).split())}"
                for item in scene.items
                if isinstance(item, Speech)
            ]
            rows.append([play.title, number, "\n".join(lines)])
    with open(path, "w", newline="", encoding="utf-8") as file_out:
        writer = csv.writer(file_out)
        writer.writerow(["season", "episode", "script"])
        writer.writerows(rows[:count])


if __name__ == "__main__":
    main(sys.argv[1])
