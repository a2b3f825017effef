"""^C waits where it would cost more than it saves."""

from __future__ import annotations

import signal

import pytest

from semcompress_plugin.interrupt import held_back


@pytest.fixture(autouse=True)
def _handler():
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interruption_waits_for_the_end_of_the_block():
    done = []

    def write() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done == ["the rest"]


def test_where_interruptions_are_ignored_none_is_made_up():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of what a shell puts into the background
    with held_back():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_handler_that_python_does_not_know_stays(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(signal, "getsignal", lambda number: None)  # as of a program in C that runs us
        patched.setattr(signal, "signal", lambda number, handler: pytest.fail("was replaced"))
        with held_back():
            pass
