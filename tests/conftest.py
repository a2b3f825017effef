"""What every test shares: no test sees the user's cache or git configuration."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from semcompress_plugin.cores import keep_blas_to_one_thread

keep_blas_to_one_thread()  # as the command does: half of the suite's processor time otherwise
# What properties say holds however busy the machine is.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

# A shell starts what it puts into the background deaf to ^C, and so would be all that we start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SEMCOMPRESS_CACHE", str(home / "cache"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name, value in {"NAME": "you", "EMAIL": "you@example.org"}.items():
        monkeypatch.setenv(f"GIT_AUTHOR_{name}", value)
        monkeypatch.setenv(f"GIT_COMMITTER_{name}", value)


@pytest.fixture
def make_read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Takes the right to write a file away, from root too (which the system lets write everything)."""
    refused: set[Path] = set()
    really = os.access

    def access(path: os.PathLike[str], mode: int, **keywords: bool) -> bool:
        return not (mode == os.W_OK and Path(path) in refused) and really(path, mode, **keywords)

    def make(path: Path) -> None:
        path.chmod(0o444)
        refused.add(path)

    monkeypatch.setattr(os, "access", access)
    return make


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty git repository, which is also the working folder."""
    folder = tmp_path / "repository"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)
    monkeypatch.chdir(folder)
    return folder
