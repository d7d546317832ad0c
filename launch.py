"""One run, or a sweep with -m: `python launch.py --help` tells how."""

from persona_sweeps.cli.launch import main

if __name__ == "__main__":
    main()
