"""What ``undiffuse`` alone says: what to try first, where results land, where help is. No line is over 50 columns."""

from __future__ import annotations

from importlib.metadata import version


def welcome() -> str:
    """Return the lines."""
    return f"""\
undiffuse {version("undiffuse")}: diffusion models, read all the
way down. To begin with, one of

  undiffuse run spiral-2pi-best  a minute or two
  undiffuse run mnist-01-quick   digits, 3 minutes
  undiffuse run mine.csv         your own data

Each makes a folder, runs/NAME, with report.html
to open in a browser; a glance in the terminal:

  undiffuse show runs/spiral-2pi-best

What else there is, and if this machine does:

  undiffuse presets
  undiffuse doctor
  undiffuse --help       all commands
  undiffuse run --help   one of them
"""
