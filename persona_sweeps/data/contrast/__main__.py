"""Run the command: `python -m persona_sweeps.data.contrast OUT.jsonl`."""

import sys

from persona_sweeps.data.contrast.command import main

sys.exit(main())
