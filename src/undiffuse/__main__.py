"""``python -m undiffuse`` and the command ``undiffuse``."""

import os
import signal
import sys
from types import FrameType


def main() -> int:
    """Run the command line; a signal that comes before it is loaded, or after it was stopped, ends it at once."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # A signal that is ignored stays so: that is what nohup does.
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    from undiffuse.cli import main as run

    code = run()
    # After an interrupt that passed through exec, Python ends by SIGINT and not by this code, unless exec runs again.
    exec("")  # noqa: S102
    return code


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
