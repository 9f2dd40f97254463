"""Scripts in processes of their own, which may hang, or be sent signals."""

import subprocess
import sys
import textwrap


def run(script: str, seconds: float = 60) -> str:
    """What a script prints, in a process that may hang."""
    start = """
    import os, random, signal, threading, time, warnings
    import numpy as np
    import oxiflux as flux
    warnings.simplefilter("ignore")  # such as those about forks beside threads

    def interrupt_after(seconds):
        threading.Thread(
            target=lambda: (time.sleep(seconds), os.kill(os.getpid(), signal.SIGINT)), daemon=True
        ).start()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(start) + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()
