"""Signals as a terminal leaves them."""

from __future__ import annotations

import signal


def heed_signals() -> None:
    """Of this process and those that it starts. A shell's background jobs are started deaf to
    SIGINT, those of `nohup` to SIGHUP; both pass from process to process."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)
