"""The hooks for pre-commit, run by the real pre-commit and the real prek in repositories of their own.

They build their environment from a repository made of this checkout, once for all tests (and all workers).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import filelock
import pytest
import yaml

from hosts import missing
from pictures import encoded, photo
from policies import POLICY

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "hosts" / "pre-commit.md"


@dataclass(frozen=True)
class Host:
    """``program`` with an environment for the hooks of the repository ``hooks``, ready in ``home``."""

    program: str
    home: Path
    hooks: Path
    revision: str

    @property
    def variables(self) -> dict[str, str]:
        return {"PRE_COMMIT_HOME": str(self.home), "PREK_HOME": str(self.home), "PIP_CACHE_DIR": str(self.home / "pip")}

    def config(self) -> str:
        """What the page says to write, with this repository and revision."""
        (block,) = re.findall(r"```yaml\n(repos:.*?)```", PAGE.read_text(), re.DOTALL)
        return block.replace("REPO", str(self.hooks)).replace("REV", self.revision)


@dataclass
class Repository:
    """A user's repository: the working folder, with the hook installed."""

    host: Host
    folder: Path
    blind: bool = False
    variables: dict[str, str] = field(default_factory=dict)

    def commit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("git", "commit", "-m", "a commit", *arguments)

    def stage(self, *names: str) -> None:
        assert self.run("git", "add", *names).returncode == 0

    def host_run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(self.host.program, "run", *arguments)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=os.environ | self.host.variables | self.variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip

    def without_readers(self, folder: Path) -> None:
        """From now on, whoever asks an evaluator fails."""
        folder.mkdir()
        (folder / "onnxruntime.py").write_text("raise SystemExit('an evaluator was asked')\n")
        self.variables["PYTHONPATH"] = str(folder)

    def photo(self, name: str, seed: int = 0) -> bytes:
        data = encoded(photo((320, 240), seed), "JPEG", quality=97)
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_bytes(data)
        return data

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def staged(self, name: str) -> bytes:
        return subprocess.run(["git", "show", f":{name}"], cwd=self.folder, capture_output=True, check=True).stdout


def host(program: str, shared: Path) -> Host:
    """Build the environment unless another worker has: pip takes most of a minute for it."""
    path = Path(sys.executable).with_name(program)
    if not path.is_file():
        missing(f"{program} is not installed: pip install {program}")
    home, hooks = shared / program, shared / "hooks"
    with filelock.FileLock(shared / "lock"):
        if not (hooks / ".git").exists():
            _publish(hooks)
        revision = _git(hooks, "rev-parse", "HEAD").strip()
        ready = Host(str(path), home, hooks, revision)
        if not (home / "ready").exists():
            _build(ready, shared / f"{program}-first")
            (home / "ready").touch()
    return ready


def _publish(folder: Path) -> None:
    """A repository that holds what is in this checkout, committed or not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        missing("not in a git checkout, which pre-commit wants to install from")
    names = (os.fsdecode(name) for name in listed.stdout.split(b"\0") if name)
    needed = re.compile(r"semcompress_plugin/|[^/]+$")
    for name in dict.fromkeys(name for name in names if needed.match(name) and (ROOT / name).exists()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    _git(folder, "init", "-q")
    _git(folder, "add", "-A")
    _git(folder, "-c", "user.name=us", "-c", "user.email=us@example.org", "commit", "-qm", "all")


def _build(ready: Host, folder: Path) -> None:
    folder.mkdir()
    _git(folder, "init", "-q")
    (folder / ".pre-commit-config.yaml").write_text(ready.config())
    _git(folder, "add", "-A")
    environment = os.environ | {k: v for k, v in ready.variables.items() if k != "PIP_CACHE_DIR"}
    command = [ready.program, "install-hooks"]
    built = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)
    if built.returncode:
        # no network is no fault of ours; anything else is
        probe = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir", "-d", folder, "filelock"]
        if subprocess.run(probe, capture_output=True, check=False).returncode:
            missing("no package index can be reached to build the hook's environment from")
        pytest.fail(f"{ready.program} cannot build the environment:\n{built.stdout}\n{built.stderr}")


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, text=True, capture_output=True, check=True).stdout


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pre-commit-hosts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def pre_commit(shared: Path) -> Host:
    return host("pre-commit", shared)


@pytest.fixture(scope="session", params=["pre-commit", "prek"])
def either(request: pytest.FixtureRequest, shared: Path) -> Host:
    return host(request.param, shared)


@pytest.fixture
def make(repository: Path) -> Callable[[Host], Repository]:
    def made(host: Host) -> Repository:
        (repository / ".pre-commit-config.yaml").write_text(host.config())
        (repository / ".semcompress.yaml").write_text(POLICY)
        (repository / "notes.txt").write_text("one\n")
        user = Repository(host, repository)
        user.stage("-A")
        installed = user.run(host.program, "install")
        assert installed.returncode == 0, installed.stdout
        first = user.commit()
        assert first.returncode == 0, first.stdout
        return user

    return made


def test_a_commit_with_a_big_photo_is_stopped_and_passes_with_picture_and_lock_and_asks_nobody(either, make, tmp_path):
    user = make(either)
    big = user.photo("img/a.jpg")
    user.stage("img")
    stopped = user.commit()
    assert stopped.returncode == 1
    assert "git add img/a.jpg semcompress.lock" in stopped.stdout
    small = user.read("img/a.jpg")
    assert len(small) < 0.95 * len(big)
    assert user.staged("img/a.jpg") == big, "a hook never stages"

    user.stage("img/a.jpg", "semcompress.lock")
    user.without_readers(tmp_path / "blind")
    passed = user.commit()
    assert passed.returncode == 0, passed.stdout
    assert user.read("img/a.jpg") == small
    assert _git(user.folder, "status", "--porcelain") == ""


@pytest.mark.parametrize("how", ["new", "stashed", "lost"])
def test_a_forgotten_lock_stops_the_commit_with_one_line_and_never_means_a_second_generation(
    either, make, tmp_path, how
):
    user = make(either)
    if how != "new":  # the lock is in the repository already, so that pre-commit's stash hides what is new in it
        user.photo("first.jpg", seed=1)
        user.stage("-A")
        user.commit()
        user.stage("-A")
        assert user.commit().returncode == 0
    user.photo("a.jpg")
    user.stage("a.jpg")
    assert user.commit().returncode == 1
    small = user.read("a.jpg")
    if how == "lost":
        _git(user.folder, "checkout", "semcompress.lock")
    lock = user.read("semcompress.lock")

    user.stage("a.jpg")
    user.without_readers(tmp_path / "blind")
    for _ in range(2):
        stopped = user.commit()
        assert stopped.returncode == 1
        lines = [line.strip() for line in stopped.stdout.splitlines() if "semcompress:" in line]
        assert len(lines) == 1
        assert lines[0].startswith("semcompress: semcompress.lock is not staged with a.jpg: git add semcompress.lock")
        assert "conflict" not in stopped.stdout
        assert (user.read("a.jpg"), user.staged("a.jpg"), user.read("semcompress.lock")) == (small, small, lock)

    if how == "lost":
        command = re.search(r"\(if that adds nothing, first: semcompress (.*)\)", lines[0])
        assert command
        user.run(sys.executable, "-m", "semcompress_plugin", *command[1].split())
    user.stage("semcompress.lock")
    passed = user.commit()
    assert passed.returncode == 0, passed.stdout
    assert user.read("a.jpg") == small


def test_a_commit_of_paths_that_leaves_the_lock_out_is_told_to_name_it(either, make, tmp_path):
    user = make(either)
    user.photo("first.jpg", seed=1)
    user.stage("-A")
    user.commit()
    user.stage("-A")
    assert user.commit().returncode == 0
    user.photo("a.jpg")
    user.stage("a.jpg")
    assert "without paths, or with all of these named: git add a.jpg semcompress.lock" in user.commit("a.jpg").stdout
    user.stage("a.jpg", "semcompress.lock")
    user.without_readers(tmp_path / "blind")
    stopped = user.commit("a.jpg").stdout
    assert "semcompress.lock is staged, but `git commit PATH` takes only what it names: git commit … " in stopped
    assert "is not staged" not in stopped
    passed = user.commit("semcompress.lock", "a.jpg")
    assert passed.returncode == 0, passed.stdout


def test_all_files_twice_changes_nothing_the_second_time_staged_or_not(pre_commit, make, tmp_path):
    user = make(pre_commit)
    for seed in range(2):
        user.photo(f"{seed}.jpg", seed)
    user.stage("-A")
    assert user.host_run("--all-files").returncode == 1
    after = [user.read(f"{seed}.jpg") for seed in range(2)]
    user.without_readers(tmp_path / "blind")
    for _ in range(2):
        again = user.host_run("--all-files")
        assert again.returncode == 0, again.stdout
        assert [user.read(f"{seed}.jpg") for seed in range(2)] == after
        user.stage("-A")


def test_what_was_staged_only_in_part_is_not_lost(pre_commit, make):
    user = make(pre_commit)
    (user.folder / "notes.txt").write_text("one\ntwo\n")
    user.photo("a.jpg")
    user.stage("a.jpg")
    assert user.commit().returncode == 1
    assert user.read("notes.txt") == b"one\ntwo\n"
    user.stage("a.jpg", "semcompress.lock")
    passed = user.commit()
    assert passed.returncode == 0, passed.stdout
    assert user.read("notes.txt") == b"one\ntwo\n"
    assert user.staged("notes.txt") == b"one\n"

    # the picture itself: one version is staged, another lies in the work tree
    staged, unstaged = user.photo("a.jpg", 1), b""
    user.stage("a.jpg")
    unstaged = user.photo("a.jpg", 2)
    assert user.commit().returncode == 1
    assert (user.staged("a.jpg"), user.read("a.jpg")) == (staged, unstaged)


def test_a_hidden_lock_and_another_new_picture_come_to_rest_once_both_are_staged(pre_commit, make):
    user = make(pre_commit)
    for seed in (1, 2):
        user.photo(f"{seed}.jpg", seed)
        user.stage(f"{seed}.jpg")
        user.commit()
        if seed == 1:
            user.stage("-A")
            assert user.commit().returncode == 0
    first = user.read("2.jpg")
    user.photo("3.jpg", 3)
    _git(user.folder, "reset", "-q")
    user.stage("3.jpg")  # and neither 2.jpg nor the lock, which has changed for its sake
    for _ in range(3):
        if user.commit().returncode == 0:
            break
        user.stage("3.jpg", "semcompress.lock")
    else:
        pytest.fail("never passed")
    assert user.read("2.jpg") == first
    user.stage("2.jpg")
    passed = user.commit()
    assert passed.returncode == 0, passed.stdout


def test_a_rename_or_copy_of_an_output_passes_untouched(pre_commit, make, tmp_path):
    user = make(pre_commit)
    user.photo("a.jpg")
    user.stage("-A")
    user.commit()
    user.stage("-A")
    assert user.commit().returncode == 0
    small = user.read("a.jpg")
    shutil.copy(user.folder / "a.jpg", user.folder / "copy.jpg")
    (user.folder / "a.jpg").rename(user.folder / "renamed.jpg")
    user.stage("-A")
    user.without_readers(tmp_path / "blind")
    passed = user.commit()
    assert passed.returncode == 0, passed.stdout
    assert user.read("copy.jpg") == user.read("renamed.jpg") == small


def test_invocations_at_once_share_the_lock(pre_commit, make):
    user = make(pre_commit)
    names = [f"{seed}.jpg" for seed in range(4)]
    for seed, name in enumerate(names):
        user.photo(name, seed)
    user.stage("-A")
    (installed,) = pre_commit.home.glob("repo*/py_env*/bin/semcompress")
    running = [
        subprocess.Popen([installed, "compress", "--hook", name, "--jobs", "1"], stdout=subprocess.DEVNULL)
        for name in names
    ]
    assert [process.wait(120) for process in running] == [1] * len(names)
    user.stage("-A")
    assert _git(user.folder, "show", ":semcompress.lock").count('"relation": "replaced"') == len(names)
    passed = user.commit()
    assert passed.returncode == 0, passed.stdout


def test_the_check_writes_nothing_and_the_policy_is_validated(pre_commit, make):
    user = make(pre_commit)
    config = user.folder / ".pre-commit-config.yaml"
    config.write_text(config.read_text().replace("- id: semcompress\n", "- id: semcompress-check\n"))
    big = user.photo("a.jpg")
    user.stage("-A")
    stopped = user.commit()
    assert stopped.returncode == 1
    assert "1 would be compressed" in stopped.stdout
    assert user.read("a.jpg") == big
    assert _git(user.folder, "status", "--porcelain") == "M  .pre-commit-config.yaml\nA  a.jpg\n"

    (user.folder / ".semcompress.yaml").write_text("version: 1\nruls: []\n")
    user.stage("-A")
    stopped = user.host_run("semcompress-validate")
    assert stopped.returncode == 1
    assert ".semcompress.yaml:2:1: unknown key 'ruls'; did you mean 'rules'?" in stopped.stdout


def test_the_environment_that_pre_commit_builds_has_at_most_250_mib(pre_commit):
    used = sum(path.lstat().st_blocks * 512 for path in pre_commit.home.rglob("*"))
    assert used <= 250 * 2**20


def test_the_extras_that_the_page_adds_to_the_environment_are_declared():
    (block,) = re.findall(r"```yaml\n( +- id: .*?)```", PAGE.read_text(), re.DOTALL)
    (hook,) = yaml.safe_load(block)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = [re.fullmatch(r"\.\[(\w+)\]", text) for text in hook["additional_dependencies"]]
    assert wanted
    assert all(match and match[1] in declared for match in wanted)
    assert hook["id"] in {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
