# SPDX-License-Identifier: Apache-2.0
"""Packages of others that read our files: of this Python, or installed into an environment in the cache."""
import os
import pathlib
import subprocess
import sys


def can_import(python, modules):
    try:
        done = subprocess.run([str(python), "-c", f"import {', '.join(modules)}"], capture_output=True, timeout=100, check=False)
        return done.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def python_with(environment, modules, packages):
    """A Python that imports the modules: this one, or that of the cache's environment, into which the packages are installed; None where
    that is not possible."""
    own = pathlib.Path(os.environ.get("TWISTOR_CACHE", pathlib.Path.home() / ".cache/twistor")) / environment
    for python in [sys.executable, own / "bin/python"]:
        if can_import(python, modules):
            return python
    for words in [[sys.executable, "-m", "venv", own], [own / "bin/python", "-m", "pip", "install", "-q", "--retries", "0", *packages]]:
        try:
            done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=180, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{words[-1]}: {error}")
            return None
        if done.returncode != 0:
            print(f"{words[-1]}: {done.stderr[-500:]}")
            return None
    return own / "bin/python" if can_import(own / "bin/python", modules) else None
