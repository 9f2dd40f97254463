"""Python code that comes back to a tensor or a leaf while that is being changed finds no lock held."""

import subprocess
import sys
import textwrap

import pytest

START = """
import gc, threading, time, weakref
import numpy as np
import oxiflux as flux
from oxiflux import _core

class Rule(flux.Descent):
    def __del__(self):
        leaf.rule, leaf.state, leaf.frozen
        print("read")

class State:
    def __del__(self):
        leaf.rule, leaf.state, leaf.frozen
        print("read")

class Gradient:
    "An array by protocol, whose making reads the leaf."
    def __array__(self, dtype=None, copy=None):
        leaf.rule, leaf.state, leaf.frozen
        print("read")
        return np.ones(4, np.float32)

class Array(np.ndarray):
    "NumPy memory whose end runs Python code."
    def __del__(self):
        if self.base is not None:
            x.shape, x[0]
            print("read")

def array(n=4):
    return np.zeros(n, np.float32).view(Array)
"""

ATTACKS = {
    "a rule dies": "leaf = _core.Leaf(Rule()); leaf.rule = flux.Descent()",
    "a state dies": "leaf = _core.Leaf(flux.Descent(), State()); leaf.state = None",
    "a gradient is made": """
        x = flux.zeros(4)
        leaf = _core.Leaf(flux.Descent())
        flux.update(leaf, x, Gradient())
        """,
    "a state dies in update": """
        class Own(flux.Descent):
            def init(self, x):
                return State()
            def apply(self, state, x, dx):
                return None, dx
        x = flux.zeros(4)
        leaf = flux.setup(Own(), x)
        flux.update(leaf, x, flux.ones(4))
        """,
    "NumPy's memory is assigned over": "x = flux.from_numpy(array()); _core.assign(x, flux.ones(4))",
    "NumPy's memory is assigned into": "x = flux.from_numpy(array()); x[0] = 1.0",
    "NumPy's memory is updated": """
        x = flux.from_numpy(array())
        flux.update(flux.setup(flux.Adam(), x), x, flux.ones(4))
        """,
    "much of NumPy's memory is updated": """
        x = flux.from_numpy(array(1 << 16))
        flux.update(flux.setup(flux.Adam(), x), x, flux.ones(1 << 16))
        """,
    "a rule in Python replaces NumPy's memory": """
        class Own(flux.Descent):
            def init(self, x):
                return None
            def apply(self, state, x, dx):
                return state, dx
        x = flux.from_numpy(array())
        flux.update(flux.setup(Own(), x), x, flux.ones(4))
        """,
}


def run(script: str) -> str:
    """What a script prints, in a process that may hang."""
    done = subprocess.run(
        [sys.executable, "-c", START + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.parametrize("attack", ATTACKS)
def test_python_code_finds_no_lock_held_when(attack):
    assert "read" in run(ATTACKS[attack])


def test_a_state_is_shown_while_another_thread_makes_steps():
    run(
        """
        w = flux.zeros(1 << 16)
        leaf = flux.setup(flux.Adam(), w)
        g = flux.ones(1 << 16)
        def steps():
            for _ in range(200):
                flux.update(leaf, w, g)
        thread = threading.Thread(target=steps)
        thread.start()
        while thread.is_alive():
            leaf.state, repr(leaf)
        moment = leaf.state[2][0]
        assert abs(moment - 0.9 ** 201) < 1e-12, leaf.state[2]
        """
    )


def test_memory_of_another_library_is_let_go_of_without_waiting_for_a_reader():
    run(
        """
        class Foreign:
            "Through DLPack alone: NumPy's protocols are hidden."
            def __init__(self, a):
                self.a = a
            def __dlpack__(self, **kwargs):
                return self.a.__dlpack__(**kwargs)
        for _ in range(20):
            ws = [flux.from_dlpack(Foreign(np.zeros(1 << 18, np.float32))) for _ in range(4)]
            state = flux.setup(flux.Descent(), ws)
            grads = [flux.ones(1 << 18) for _ in ws]
            thread = threading.Thread(target=lambda: flux.update(state, ws, grads))
            thread.start()
            while thread.is_alive():
                for w in ws:
                    w.shape
            assert ws[0][0].item() == np.float32(-0.1)
        """
    )


def test_a_rule_that_refers_to_its_own_state_is_collected():
    run(
        """
        class Own(flux.Descent):
            pass
        for keep in (lambda rule, leaf: setattr(rule, "leaf", leaf), lambda rule, leaf: setattr(rule, "state", [leaf])):
            rule = Own()
            leaf = _core.Leaf(rule)
            keep(rule, leaf)
            seen = weakref.ref(rule)
            del rule, leaf
            gc.collect()
            assert seen() is None
        state = []
        leaf = _core.Leaf(flux.Descent(), state)
        state.append(leaf)
        gone = weakref.finalize(rule := Own(), print, "gone")
        state.append(rule)
        del state, leaf, rule
        gc.collect()
        assert not gone.alive
        """
    )


def test_a_pullback_whose_rule_refers_to_it_is_collected():
    run(
        """
        class Holder:
            pass
        holder = Holder()
        seen = weakref.ref(holder)
        def layer(x):
            def rule(g):
                return holder, g
            return x * 2, rule
        holder.back = flux.pullback(lambda x: flux.custom_gradient(layer)(x).sum(), flux.ones(1 << 20))[1]
        assert flux.memory_in_use() > 4 << 20
        del holder, layer
        gc.collect()
        assert seen() is None
        assert flux.memory_in_use() < 1 << 20
        """
    )
