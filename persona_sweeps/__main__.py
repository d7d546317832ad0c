"""`python -m persona_sweeps` is the command `persona-sweeps`."""

from persona_sweeps.cli.main import main

main()
