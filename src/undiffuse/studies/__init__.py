"""One file for each command.

Each has the same four parts: a frozen ``Settings``, which the command line turns into options; a frozen ``Result`` with
``as_dict()``, which is what ``--json`` prints; ``run(settings, on_progress)``; and ``figures(result)`` where there is
something to draw.
"""
