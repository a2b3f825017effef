"""``semcompress install-hook`` and the hook it writes, run by the real git."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pictures import encoded, photo
from semcompress_plugin.cli import main

ROOT = Path(__file__).parents[1]
POLICY = """\
version: 1
preset: machine
rules:
  - name: all
    files: ["*.jpg", "!skipped/"]
    compress: [jpeg]
    keep: {classifier: {js_divergence: {max: 0.05}}}
"""


def git(*arguments: str, folder: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    # an empty text is none: standard output is held back until there is much of it, as for people
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=os.environ | {"PYTHONUNBUFFERED": ""} | variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip


def done(*arguments: str, folder: Path | None = None) -> str:
    answer = git(*arguments, folder=folder)
    assert answer.returncode == 0, answer.stdout
    return answer.stdout


def staged(name: str) -> bytes:
    return subprocess.run(["git", "cat-file", "blob", f":{name}"], capture_output=True, check=True).stdout


def big(path: Path, seed: int = 0) -> bytes:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encoded(photo((320, 240), seed), "JPEG", quality=97))
    return path.read_bytes()


@pytest.fixture
def hooked(repository: Path) -> Path:
    """A repository with a policy and the hook, which is also the working folder."""
    (repository / ".semcompress.yaml").write_text(POLICY)
    assert main(["install-hook"]) == 0
    done("add", "-A")
    done("commit", "-qm", "policy")
    return repository


@pytest.fixture
def blind(tmp_path: Path) -> dict[str, str]:
    """Variables under which whoever asks an evaluator, or decodes a picture, fails."""
    folder = tmp_path / "blind"
    folder.mkdir()
    for module in ("onnxruntime", "numpy"):
        (folder / f"{module}.py").write_text("raise SystemExit('was asked')\n")
    return {"PYTHONPATH": str(folder)}


def test_the_commit_stops_once_says_what_to_add_and_then_passes_in_silence_and_asks_nobody(hooked, blind):
    before = big(hooked / "a.jpg")
    done("add", "a.jpg")
    stopped = git("commit", "-m", "a")
    assert stopped.returncode == 1
    (command,) = re.findall(r"commit again: (git add .*)", stopped.stdout)
    assert command == "git add a.jpg semcompress.lock"
    assert len((hooked / "a.jpg").read_bytes()) < 0.95 * len(before)
    assert staged("a.jpg") == before
    assert not git("ls-files", "semcompress.lock").stdout

    subprocess.run(command, shell=True, check=True)
    passed = git("commit", "-qm", "a", **blind)
    assert (passed.returncode, passed.stdout) == (0, "")
    assert done("status", "--porcelain") == ""


def test_what_to_add_is_named_as_it_is_called_where_the_commit_was_made(hooked):
    (hooked / "sub").mkdir()
    big(hooked / "sub" / "a.jpg")
    git("add", "-A")
    stopped = git("commit", "-qm", "x", folder=hooked / "sub")
    assert stopped.returncode == 1
    command = stopped.stdout.rpartition("commit again: ")[2].strip()
    assert command == "git add a.jpg ../semcompress.lock"
    assert subprocess.run(command, shell=True, cwd=hooked / "sub", check=False).returncode == 0
    assert git("commit", "-qm", "x", folder=hooked / "sub").returncode == 0


def test_only_what_is_staged_is_looked_at(hooked):
    others = {name: big(hooked / name, 1) for name in ("untracked.jpg", "committed.jpg", "skipped/b.jpg")}
    done("add", "committed.jpg", "skipped/b.jpg")
    done("commit", "-qm", "before", "--no-verify")
    done("rm", "-q", "--cached", "skipped/b.jpg")
    big(hooked / "a.jpg")
    done("add", "a.jpg", "skipped/b.jpg")
    stopped = git("commit", "-m", "a")
    assert "1 compressed, 0 unchanged" in stopped.stdout
    assert {name: (hooked / name).read_bytes() for name in others} == others


def test_any_name_will_do(hooked):
    names = ["with space.jpg", "new\nline.jpg", "-dash.jpg", "ünï'c\"ode $HOME.jpg", os.fsdecode(b"not-utf-\xff.jpg")]
    before = {name: big(hooked / name, seed) for seed, name in enumerate(names)}
    done("add", "-A")
    stopped = git("commit", "-m", "names")
    assert stopped.returncode == 1
    assert f"{len(names)} compressed" in stopped.stdout
    for name in names:
        assert len((hooked / name).read_bytes()) < len(before[name])
    command = stopped.stdout.rstrip("\n").rpartition("commit again: ")[2]
    assert command.isprintable()
    subprocess.run(["bash", "-c", command], check=True)
    assert done("status", "--porcelain").count("A  ") == len(names) + 1
    assert git("commit", "-qm", "names").returncode == 0


def test_a_picture_with_changes_that_are_not_staged_is_left_alone_and_said(hooked):
    was = big(hooked / "a.jpg", 1)
    done("add", "a.jpg")
    now = big(hooked / "a.jpg", 2)
    passed = git("commit", "-m", "partly")
    assert passed.returncode == 0
    assert "semcompress: a.jpg: has changes that are not staged, so it was left alone" in passed.stdout
    assert (staged("a.jpg"), (hooked / "a.jpg").read_bytes()) == (was, now)


def test_what_the_hook_shrank_is_not_committed_big_because_nobody_staged_it(hooked, blind):
    big(hooked / "a.jpg")
    done("add", "a.jpg")
    git("commit", "-m", "a")
    stopped = git("commit", "-m", "a", **blind)
    assert stopped.returncode == 1
    assert stopped.stdout == "semcompress: what is staged is not yet what was shrunk: git add a.jpg\n"


def test_a_picture_that_has_another_name_by_now_is_not_committed_big_because_nobody_staged_that(hooked, blind):
    policy = POLICY.replace("[jpeg]", "[webp]") + "    outputs: {formats: [webp], place: replace}\n"
    (hooked / ".semcompress.yaml").write_text(policy)
    done("commit", "-qam", "webp")
    before = big(hooked / "a.jpg")
    done("add", "a.jpg")
    assert git("commit", "-m", "a").returncode == 1
    assert not (hooked / "a.jpg").exists()
    for stage in ([], ["a.webp", "semcompress.lock"]):
        done("add", "--", *stage)
        stopped = git("commit", "-m", "a")
        assert stopped.returncode == 1
        lock = "" if stage else " semcompress.lock"
        said = "a.jpg is staged as it was before it was shrunk, and lies here no more: "
        assert stopped.stdout == f"semcompress: {said}git add -A -- a.jpg a.webp{lock}\n"
        assert staged("a.jpg") == before
    subprocess.run(stopped.stdout.partition("no more: ")[2], shell=True, check=True)
    passed = git("commit", "-qm", "a", **blind)
    assert (passed.returncode, passed.stdout) == (0, "")
    assert done("ls-files") == ".semcompress.yaml\na.webp\nsemcompress.lock\n"
    assert done("status", "--porcelain") == ""


def test_a_staged_picture_that_was_removed_since_and_never_shrunk_passes(hooked, blind):
    big(hooked / "a.jpg")
    done("add", "a.jpg")
    (hooked / "a.jpg").unlink()
    assert git("commit", "-qm", "a", **blind).returncode == 0


def test_a_forgotten_lock_stops_the_commit_with_one_line(hooked, blind):
    big(hooked / "a.jpg")
    done("add", "a.jpg")
    git("commit", "-m", "a")
    small = (hooked / "a.jpg").read_bytes()
    done("add", "a.jpg")
    stopped = git("commit", "-m", "a", **blind)
    assert stopped.returncode == 1
    assert stopped.stdout == "semcompress: semcompress.lock is not staged with a.jpg: git add semcompress.lock\n"
    assert (hooked / "a.jpg").read_bytes() == small


def test_json_is_one_object_also_where_the_hook_objects(hooked, capsys):
    big(hooked / "a.jpg")
    done("add", "a.jpg")
    assert main(["compress", "--hook"]) == 1
    done("add", "a.jpg")
    capsys.readouterr()
    assert main(["compress", "--hook", "--format", "json"]) == 1
    shown = capsys.readouterr()
    assert "semcompress.lock is not staged with a.jpg" in shown.err
    assert json.loads(shown.out)["results"] == []


def test_a_picture_that_cannot_be_smaller_stops_the_commit_once_for_its_line_in_the_lock(hooked, blind):
    (hooked / ".semcompress.yaml").write_text(f"{POLICY}    min_saving: 99%\n")
    before = big(hooked / "a.jpg")
    done("add", "a.jpg")
    stopped = git("commit", "-m", "a")
    assert stopped.returncode == 1
    assert (
        "semcompress: nothing could be smaller: stage the lock, so that nobody looks again, and commit again: "
        "git add semcompress.lock\n" in stopped.stdout
    )
    passed = git("commit", "-qm", "a", **blind)  # without the lock this costs others a search, and no quality
    assert (passed.returncode, passed.stdout) == (0, "")
    assert (hooked / "a.jpg").read_bytes() == before


def test_many_files_are_not_listed_twice(hooked):
    for number in range(9):
        big(hooked / f"{number}.jpg", number)
    done("add", "-A")
    stopped = git("commit", "-m", "many")
    assert stopped.stdout.endswith("commit again: git add semcompress.lock and the 9 files above\n")
    done("add", "*.jpg")
    stopped = git("commit", "-m", "many")
    names = " ".join(f"{number}.jpg" for number in range(8))
    said = f"semcompress: semcompress.lock is not staged with {names} and 1 more: git add semcompress.lock\n"
    assert stopped.stdout == said


def test_what_counts_is_the_index_that_is_committed(hooked):
    for name in ("a.jpg", "b.jpg"):
        big(hooked / name)
        done("add", name)
    done("commit", "-qm", "old", "--no-verify")
    big(hooked / "a.jpg", 1)
    big(hooked / "b.jpg", 2)
    stopped = git("commit", "-m", "one", "a.jpg")  # git makes an index of HEAD and a.jpg for this
    assert "1 compressed, 0 unchanged" in stopped.stdout
    done("add", "semcompress.lock")
    stopped = git("commit", "-m", "one", "a.jpg")  # the lock is staged, and yet not in this commit
    assert stopped.returncode == 1
    assert "semcompress.lock is staged, but `git commit PATH` takes only what it names" in stopped.stdout
    assert git("commit", "-m", "one", "a.jpg", "semcompress.lock").returncode == 0
    stopped = git("commit", "-am", "two")
    assert "1 compressed, 0 unchanged" in stopped.stdout
    assert git("commit", "-am", "two").returncode == 0


@pytest.mark.parametrize("lock", ["new", "tracked"])
def test_a_commit_of_paths_that_leaves_the_lock_out_is_told_to_name_it_and_passes_so(hooked, blind, lock):
    if lock == "tracked":
        big(hooked / "first.jpg", 1)
        done("add", "-A")
        git("commit", "-m", "first")
        done("add", "-A")
        done("commit", "-qm", "first")
    big(hooked / "a.jpg")
    done("add", "a.jpg")
    stopped = git("commit", "-m", "a", "a.jpg")
    assert stopped.stdout.endswith(
        "commit again without paths, or with all of these named: git add a.jpg semcompress.lock\n"
    )
    named = "git commit … semcompress.lock a.jpg"
    stopped = git("commit", "-m", "a", "a.jpg", **blind)
    assert stopped.stdout == (
        f"semcompress: semcompress.lock is not staged with a.jpg: git add semcompress.lock, and name it too: {named}\n"
    )
    done("add", "a.jpg", "semcompress.lock")
    stopped = git("commit", "-m", "a", "a.jpg", **blind)
    assert stopped.returncode == 1
    assert stopped.stdout == (
        f"semcompress: semcompress.lock is staged, but `git commit PATH` takes only what it names: {named}, "
        "or commit without paths\n"
    )
    passed = git("commit", "-qm", "a", "semcompress.lock", "a.jpg", **blind)
    assert (passed.returncode, passed.stdout) == (0, "")
    assert done("status", "--porcelain") == ""


def test_links_deletions_and_renames_of_outputs_pass(hooked, blind):
    big(hooked / "a.jpg")
    big(hooked / "gone.jpg", 1)
    done("add", "-A")
    git("commit", "-m", "a")
    done("add", "-A")
    done("commit", "-qm", "a")
    small = (hooked / "a.jpg").read_bytes()
    (hooked / "a.jpg").rename(hooked / "b.jpg")
    shutil.copy(hooked / "b.jpg", hooked / "c.jpg")
    (hooked / "link.jpg").symlink_to("b.jpg")
    (hooked / "gone.jpg").unlink()
    done("add", "-A")
    (hooked / "c.jpg").unlink()
    passed = git("commit", "-qm", "moved", **blind)
    assert (passed.returncode, passed.stdout) == (0, "")
    assert (hooked / "b.jpg").read_bytes() == small


def test_in_a_worktree_and_in_a_submodule(hooked, tmp_path, monkeypatch):
    library = tmp_path / "library"
    library.mkdir()
    done("init", "-q", folder=library)
    (library / ".semcompress.yaml").write_text(POLICY)
    done("add", "-A", folder=library)
    done("commit", "-qm", "library", folder=library)
    done("worktree", "add", "-q", str(tmp_path / "tree"))
    done("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "sub")
    monkeypatch.chdir(hooked / "sub")
    assert main(["install-hook"]) == 0
    assert (hooked / ".git/modules/sub/hooks/pre-commit").is_file()
    for folder in (tmp_path / "tree", hooked / "sub"):
        monkeypatch.chdir(folder)
        before = big(folder / "a.jpg")
        done("add", "a.jpg")
        assert git("commit", "-m", "a").returncode == 1
        assert len((folder / "a.jpg").read_bytes()) < len(before)
        done("add", "-A")
        passed = git("commit", "-qm", "a")
        assert (passed.returncode, passed.stdout) == (0, "")


def test_a_hooks_path_of_the_repository_is_used_and_one_for_all_refused(repository, tmp_path, capsys, monkeypatch):
    everybody = tmp_path / "everybody"
    done("config", "--global", "core.hooksPath", str(everybody))
    assert main(["install-hook"]) == 2
    assert "set for all repositories" in capsys.readouterr().err
    assert not everybody.exists()
    done("config", "core.hooksPath", ".hooks")
    (repository / "sub").mkdir()
    monkeypatch.chdir(repository / "sub")
    assert main(["install-hook"]) == 0
    assert (repository / ".hooks/pre-commit").is_file()
    assert not (repository / ".git/hooks/pre-commit").exists()
    (repository / ".semcompress.yaml").write_text(POLICY)
    big(repository / "a.jpg")
    done("add", "a.jpg", folder=repository)
    stopped = git("commit", "-m", "a")  # from a folder below, too
    assert stopped.returncode == 1
    assert "1 compressed" in stopped.stdout


def test_a_foreign_hook_stays_and_ours_is_brought_up_to_date(repository, capsys):
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho foreign\n")
    assert main(["install-hook"]) == 2
    said = capsys.readouterr().err
    assert hook.read_text() == "#!/bin/sh\necho foreign\n"
    (line,) = re.findall("add to it: (.*)", said)
    assert line in (ROOT / "docs/hosts/git.md").read_text()

    hook.unlink()
    assert main(["install-hook"]) == 0
    ours = hook.read_bytes()
    assert hook.stat().st_mode & 0o111
    hook.write_bytes(ours + b"# old\n")
    assert main(["install-hook"]) == 0
    assert hook.read_bytes() == ours


def test_the_line_for_foreign_hooks_works_in_one(repository, monkeypatch):
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    _, line = re.findall(r"```sh\n(.*?)\n```", (ROOT / "docs/hosts/git.md").read_text(), re.DOTALL)
    hook.write_text(f"#!/bin/sh\n{line}\necho and on it goes\n")
    hook.chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (repository / ".semcompress.yaml").write_text(POLICY)
    big(repository / "a.jpg")
    done("add", "-A")
    stopped = git("commit", "-m", "a")
    assert stopped.returncode == 1
    assert "and on it goes" not in stopped.stdout
    done("add", "-A")
    assert git("commit", "-m", "a").stdout.startswith("and on it goes")


def test_outside_a_repository_there_is_nothing_to_hook_into(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["install-hook"]) == 2
    assert main(["compress", "--hook"]) == 2
    assert capsys.readouterr().err.count("not in a git repository") == 2


def test_the_hook_finds_another_semcompress_when_its_own_is_gone_and_else_stops_the_commit(repository, tmp_path):
    assert main(["install-hook"]) == 0
    hook = repository / ".git/hooks/pre-commit"
    assert sys.executable in hook.read_text()
    hook.write_text(hook.read_text().replace(sys.executable, "/nowhere/python"))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "semcompress").write_text('#!/bin/sh\necho "the other one: $*"\n')
    (programs / "semcompress").chmod(0o755)
    found = subprocess.run(
        [hook], env={"PATH": f"{programs}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert found.stdout == "the other one: compress --hook\n"
    lost = subprocess.run(["/bin/sh", hook], env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False)
    assert lost.returncode == 1
    assert "semcompress: not found" in lost.stderr


def test_a_module_in_the_repository_is_not_run(hooked):
    (hooked / "numpy.py").write_text("raise SystemExit('code from the repository was run')\n")
    big(hooked / "a.jpg")
    done("add", "a.jpg")
    assert "1 compressed" in git("commit", "-m", "a").stdout


def test_the_sources_show_what_is_installed():
    assert (ROOT / "hooks/git/pre-commit").read_text() == (ROOT / "semcompress_plugin/hosts/git-pre-commit").read_text()
