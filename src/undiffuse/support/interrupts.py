"""Signals that ask a program to end: Ctrl-C, and SIGTERM and SIGHUP, which mean the same here."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from undiffuse.support.errors import FailedJobError

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
_GRACE = 5.0  # seconds that a command has to clean up


class StoppedError(FailedJobError):
    """Work was left at a good moment, because it was asked to stop."""


@contextmanager
def on_signals(act: Callable[[int], None], once: bool = False) -> Iterator[None]:
    """Call ``act`` with the number of a signal that asks to end, inside a ``with`` block of the main thread.

    A signal that is ignored stays so: that is what nohup does. With ``once``, those after the first do what they did
    before.
    """
    before: dict[int, Any] = {}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def receive(number: int, frame: object) -> None:
        if once:
            put_back()
        act(number)

    if threading.current_thread() is threading.main_thread():
        for number in _numbers():
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, receive)
    try:
        yield
    finally:
        put_back()


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let the first signal stop what is inside the ``with`` block, see :func:`stop`; others do what they did before.

    An exception is lost where C code calls Python (as when a kernel is compiled), and threads may take long to end. So
    some seconds after the signal the process ends whatever it does.
    """
    timed = hasattr(signal, "setitimer")

    def act(number: int) -> None:
        if timed:
            signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
            signal.setitimer(signal.ITIMER_REAL, _GRACE)
        stop(number)

    try:
        with on_signals(act, once=True):
            yield
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def stopping_softly(ask: Callable[[], None]) -> Iterator[None]:
    """Let the first signal only ask for a stop, by calling ``ask``; a second one stops at once.

    Raises
    ------
    KeyboardInterrupt
        At the end of the ``with`` block after a signal, with the exit code that shells expect of it; there
        :class:`StoppedError` is not passed on.
    """
    received: list[int] = []

    def act(number: int) -> None:
        received.append(number)
        if len(received) > 1:
            stop(number)
        ask()

    try:
        with on_signals(act):
            yield
    except StoppedError:
        if not received:
            raise
    if received:
        stop(received[0])


def stop(number: int) -> None:
    """Stop as Ctrl-C does, with the exit code that shells expect after a signal."""
    raise KeyboardInterrupt(128 + number)


def ignore_signals() -> None:
    """Leave signals to another process: a terminal or a batch system sends them to the whole group."""
    for number in _numbers():
        signal.signal(number, signal.SIG_IGN)


def _numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
