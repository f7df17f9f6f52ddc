"""Where this checkout is. The suite runs from one: its profiles, notebooks and results are no part of a package."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
