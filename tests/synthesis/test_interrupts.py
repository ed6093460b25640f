"""Ctrl-C waits for the end of what must not be cut in two."""

import os
import signal
import threading

import pytest

from distillgan.synthesis.export import held


def test_an_interrupt_takes_effect_at_the_end_of_the_block():
    done = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        with held():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the rest")
        done.append("what follows")
    assert done == ["the rest"] and signal.getsignal(signal.SIGINT) is before


def test_an_exception_goes_through_and_the_handler_is_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError), held():
        raise ValueError
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_it_does_nothing():
    done = []

    def work():
        with held():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
