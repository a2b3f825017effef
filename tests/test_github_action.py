"""The GitHub Action: its shell steps, run with bash as a runner would, and the Markdown they write."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pictures import encoded, photo
from policies import POLICY
from semcompress_plugin.report.markdown import MAX_CHARACTERS, report

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "hooks" / "github"
ACTION = yaml.safe_load((FOLDER / "action.yml").read_text())


@dataclass
class Runner:
    """What a runner gives a composite action's steps."""

    temporary: Path
    summary: str = ""
    said: str = ""
    outputs: dict[str, str] | None = None

    def step(self, name: str, **inputs: str) -> int:
        (step,) = (step for step in ACTION["runs"]["steps"] if step["id"] == name)
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an expression inside a script runs whatever its value says"
        given = {key: value["default"] for key, value in ACTION["inputs"].items()} | {"base": ""} | inputs
        environment = {key: _value(text, given) for key, text in step["env"].items()}
        files = {key: self.temporary / key for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_bytes(b"")
        (self.temporary / "step.sh").write_text(step["run"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", self.temporary / "step.sh"],
            env=os.environ
            | {"RUNNER_TEMP": str(self.temporary), "GITHUB_ACTION_PATH": str(FOLDER)}
            | {key: str(file) for key, file in files.items()}
            | environment,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        self.said = done.stdout
        self.summary = files["GITHUB_STEP_SUMMARY"].read_text()
        self.outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        return done.returncode


def _value(text: str, inputs: dict[str, str]) -> str:
    (name,) = re.fullmatch(r"\$\{\{ inputs\.(\w+) \}\}", text).groups()
    return inputs[name]


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A runner on which this Python's semcompress is what the first step has installed."""
    temporary = tmp_path / "runner"
    programs = temporary / "semcompress" / "bin"
    programs.mkdir(parents=True)
    for name, arguments in {"python": "", "semcompress": "-m semcompress_plugin "}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        (programs / name).chmod(0o755)
    return Runner(temporary)


@pytest.fixture
def pull_request(repository: Path) -> str:
    """A branch with a new photo under a difficult name, and main, which has moved on; the base."""
    (repository / ".semcompress.yaml").write_text(POLICY)
    for name in ("old.jpg", "text.txt"):
        (repository / name).write_bytes(encoded(photo((320, 240), 1), "JPEG", quality=97))
    _commit("main")
    _git("checkout", "-q", "-b", "branch")
    (repository / "a `b`|c @d\n$(e).jpg").write_bytes(encoded(photo((320, 240), 2), "JPEG", quality=97))
    (repository / "link.jpg").symlink_to("old.jpg")
    (repository / "text.txt").write_text("changed\n")
    _commit("branch")
    _git("checkout", "-q", "main")
    for name in ("old.jpg", "other.jpg"):
        (repository / name).write_bytes(encoded(photo((320, 240), 3), "JPEG", quality=97))
    _commit("moved on")
    _git("checkout", "-q", "branch")
    return _git("rev-parse", "main").strip()


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def _commit(message: str) -> None:
    _git("add", "-A")
    _git("commit", "-qm", message)


def test_check_fails_over_a_new_picture_that_could_be_smaller_and_says_so_in_summary_and_comment(
    runner, pull_request, repository
):
    assert runner.step("run", base=pull_request) == 1, runner.said
    assert runner.outputs["changed"] == "1"
    assert Path(runner.outputs["comment"]).read_text() == runner.summary
    assert runner.summary.startswith("**semcompress: 1 would be compressed")
    assert "| ``a `b`\\|c @d\\n$(e).jpg`` |" in runner.summary
    assert "old.jpg" not in runner.summary
    assert "other.jpg" not in runner.summary
    assert _git("status", "--porcelain") == ""


def test_compress_shrinks_writes_the_lock_and_succeeds(runner, pull_request, repository):
    assert runner.step("run", base=pull_request, command="compress") == 0, runner.said
    assert runner.outputs["changed"] == "1"
    changed = _git("status", "--porcelain", "-z").split("\0")
    assert sorted(changed) == ["", " M a `b`|c @d\n$(e).jpg", "?? semcompress.lock"]
    _commit("smaller")
    assert runner.step("run", base=pull_request) == 0
    assert runner.outputs["changed"] == "0"


def test_a_failure_fails_the_step_whatever_the_command(runner, pull_request, repository):
    (repository / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    _commit("broken")
    for command in ("check", "compress"):
        assert runner.step("run", base=pull_request, command=command) == 1
        assert "- failed: `broken.jpg`: " in runner.summary


def test_a_pull_request_without_pictures_passes(runner, pull_request, repository):
    _git("checkout", "-q", "main")
    (repository / "text.txt").write_text("only text\n")
    _commit("text")
    assert runner.step("run", base=pull_request) == 0
    assert runner.outputs["changed"] == "0"
    assert runner.summary.startswith("semcompress: no picture differs from")


def test_the_merge_commit_of_a_shallow_checkout_is_compared_with_the_base(
    runner, pull_request, repository, tmp_path, monkeypatch
):
    _git("merge", "-q", "--no-edit", "main")
    for depth in ("1", "2"):
        clone = tmp_path / f"depth-{depth}"
        _git("clone", "-q", f"--depth={depth}", f"file://{repository}", str(clone))
        _git("config", "uploadpack.allowAnySHA1InWant", "true")
        monkeypatch.chdir(clone)
        assert runner.step("run", base=pull_request) == 1, runner.said
        assert runner.outputs["changed"] == "1", runner.summary
        monkeypatch.chdir(repository)


def test_without_a_base_all_pictures_are_handled_and_another_policy_can_be_named(runner, pull_request, repository):
    (repository / "policies").mkdir()
    (repository / ".semcompress.yaml").rename(repository / "none.yaml")
    assert runner.step("run", policy="none.yaml") == 1, runner.said
    assert runner.outputs["changed"] == "2"


def test_a_mistake_in_the_policy_or_the_command_is_exit_2_with_its_reason(runner, pull_request, repository):
    assert runner.step("run", command="rm") == 2
    assert "::error::command: expected check or compress, got rm" in runner.said
    (repository / ".semcompress.yaml").write_text("version: 1\nruls: []\n")
    assert runner.step("run", base=pull_request) == 2
    assert "unknown key 'ruls'" in runner.said


@pytest.mark.parametrize(("extras", "brackets"), [("", ""), ("torch", "[torch]")])
def test_the_first_step_installs_what_lies_around_the_action(tmp_path, monkeypatch, extras, brackets):
    programs = tmp_path / "programs"
    programs.mkdir()
    pip = "#!/bin/sh\nprintf '%s\\n' \"$@\""
    (programs / "python3").write_text(
        f'#!/bin/sh\n[ "$1 $2" = \'-m venv\' ] && mkdir -p "$3/bin" && cat > "$3/bin/pip" <<\'E\'\n{pip}\nE\n'
        'chmod +x "$3/bin/pip"\n'
    )
    (programs / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    runner = Runner(tmp_path)
    assert runner.step("install", extras=extras) == 0, runner.said
    *_, what = runner.said.splitlines()
    assert what.endswith(brackets)
    assert Path(what.removesuffix(brackets)).resolve() == ROOT
    assert not brackets or re.search(rf"^{extras} = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def test_the_page_uses_inputs_and_outputs_that_there_are():
    page = (ROOT / "docs" / "hosts" / "github-actions.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    workflow = yaml.safe_load(block)
    steps = workflow["jobs"]["pictures"]["steps"]
    (ours,) = (step for step in steps if step.get("id") == "semcompress")
    assert re.fullmatch(r"OWNER/semcompress-plugin/hooks/github@REV", ours["uses"])
    assert set(ours["with"]) <= set(ACTION["inputs"])
    assert set(re.findall(r"steps\.semcompress\.outputs\.(\w+)", block)) <= set(ACTION["outputs"])
    for name in (*ACTION["inputs"], *ACTION["outputs"]):
        assert f"| `{name}` |" in page


def _report(*results: dict[str, Any]) -> dict[str, Any]:
    counts = {status: sum(r["status"] == status for r in results) for status in ("compressed", "skipped", "failed")}
    sums = {name: sum(r[name] for r in results) for name in ("before", "after")}
    return {"results": list(results), "totals": {"unchanged": 0, **counts, **sums}}


def _compressed(path: str) -> dict[str, Any]:
    output = {"path": path, "compressor": "jpeg", "settings": {"quality": 40.0}, "bytes": 250, "scores": {}}
    output["scores"] = {"classifier": {"js_divergence": 0.01}, "me|too": {"x": 1.0}}
    return {"path": path, "status": "compressed", "before": 1000, "after": 250, "outputs": [output], "reason": None}


def test_markdown_has_a_row_for_every_output_and_a_line_for_every_failure():
    failed = {"path": "b.jpg", "status": "failed", "before": 9, "after": 9, "outputs": [], "reason": "is damaged"}
    assert report(_report(_compressed("a.jpg"), failed)) == (
        "**semcompress: 1 compressed, 1.01 kB → 259 B (-74 %)**; 0 unchanged, 0 skipped, 1 failed\n\n"
        "| file | before | after | saved | how | seen alike by |\n"
        "|---|--:|--:|--:|---|---|\n"
        "| `a.jpg` | 1 kB | 250 B | -75 % | `jpeg quality 40` | `classifier`, `me\\|too` |\n\n"
        "- failed: `b.jpg`: `is damaged`\n"
    )


def test_markdown_tells_what_the_text_report_tells_beside_its_table():
    back = {"path": "b.jpg", "status": "compressed", "before": 9, "after": 20, "outputs": [], "reason": "its original"}
    large = _compressed("c.jpg") | {"over_budget": True, "reason": "above its budget: 250 B"}
    kept = back | {"path": "d.jpg", "status": "failed", "over_budget": True, "reason": "too large"}
    lines = report(_report(back, large, kept, _compressed("e.jpg") | {"reason": "the search ends"})).splitlines()
    assert [line for line in lines if line.startswith("- ")] == [
        "- put back: `b.jpg`: `its original`",
        "- over budget: `c.jpg`: `above its budget: 250 B`",
        "- failed: `d.jpg`: `too large`",
    ]


def test_markdown_of_nothing_is_nothing():
    assert "| `` |" not in report(_report(_compressed("") | {"path": ""}))


@pytest.mark.parametrize(
    ("path", "cell"),
    [
        ("a|b.jpg", r"`a\|b.jpg`"),
        (r"a\|b.jpg", r"`a\|b.jpg`"),
        ("`a`.jpg", "`` `a`.jpg ``"),
        ("a``b`c.jpg", "```a``b`c.jpg```"),
        ("@you <img src=x> [a](b).jpg", "`@you <img src=x> [a](b).jpg`"),
        ("a\n| b.jpg", r"`a\n\| b.jpg`"),
        ("a\udcff.jpg", r"`a\udcff.jpg`"),
    ],
)
def test_a_file_name_is_never_markup(path, cell):
    assert report(_report(_compressed(path))).splitlines()[4].startswith(f"| {cell} | 1 kB |")


def test_a_long_report_is_cut_to_what_a_comment_may_have():
    text = report(_report(*(_compressed(f"{'x' * 90}{number}.jpg") for number in range(2000))))
    assert len(text) <= MAX_CHARACTERS + 100
    shown = text.count("| 250 B |")
    assert f"… and {2000 - shown} more" in text


def test_the_module_converts_what_check_prints(repository):
    (repository / ".semcompress.yaml").write_text(POLICY)
    checked = subprocess.run(
        [sys.executable, "-m", "semcompress_plugin", "check", "--format", "json"], capture_output=True, check=True
    )
    assert json.loads(checked.stdout)["totals"]["files"] == 0
    command = [sys.executable, "-m", "semcompress_plugin.report.markdown", "would be compressed"]
    converted = subprocess.run(command, input=checked.stdout, capture_output=True, check=True)
    assert converted.stdout == b"**semcompress: 0 would be compressed**; 0 unchanged, 0 skipped, 0 failed\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", "the report is empty: "),
        (b"\n", "the report is empty: "),
        (b'{"results": [', "the report is not what semcompress --format json prints (JSONDecodeError: "),
        (b"[]", "the report is not what semcompress --format json prints (TypeError: "),
        (b'{"results": []}', "the report is not what semcompress --format json prints (KeyError: 'totals')"),
        (b"\xff", "the report is not what semcompress --format json prints (UnicodeDecodeError: "),
    ],
)
def test_a_report_that_is_none_is_one_line_and_exit_2(given, said):
    command = [sys.executable, "-m", "semcompress_plugin.report.markdown"]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (2, b"")
    assert line.startswith(f"semcompress: {said}")


@pytest.mark.parametrize(
    ("policy", "code", "table"), [(POLICY, 1, "1 would be compressed"), (POLICY + "nonsense: 1\n", 2, "")]
)
def test_the_recommendation_for_any_other_ci_tells_of_pictures_and_of_a_mistake_alike(repository, policy, code, table):
    page = (ROOT / "docs/hosts/github-actions.md").read_text()
    script = page.partition("For any other CI")[2].partition("```sh\n")[2].partition("```")[0]
    (repository / ".semcompress.yaml").write_text(policy)
    (repository / "a.jpg").write_bytes(encoded(photo(), "JPEG", quality=97))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-ec", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert (table in done.stdout, bool(done.stdout)) == (True, bool(table))
    assert "Traceback" not in done.stderr
    assert bool(table) or "nonsense" in done.stderr
