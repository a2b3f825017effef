"""``semcompress verify``, budgets and the baseline: CI against regressions."""

from __future__ import annotations

import io
import json
import shutil
import signal
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from disk import commit, git
from pictures import encoded, photo
from policies import POLICY
from policy_registry import Stand
from semcompress_plugin import budget, interrupt, settle, shrink
from semcompress_plugin.baseline import Old, parse, render
from semcompress_plugin.cli import main
from semcompress_plugin.commands import _shrinking, compress
from semcompress_plugin.errors import BaselineError, PluginError, PolicyError
from semcompress_plugin.evaluators.classifier import ClassifierEvaluator
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.types import Constraint, Metric, Rule
from semcompress_plugin.verify import tolerant


@pytest.fixture
def folder(repository: Path) -> Path:
    (repository / ".semcompress.yaml").write_text(POLICY)
    for seed in range(2):
        (repository / f"{seed}.jpg").write_bytes(encoded(photo((240, 180), seed), "JPEG", quality=97))
    return repository


def rule(folder: Path, *changes: tuple[str, str]) -> None:
    text = POLICY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / ".semcompress.yaml").write_text(text)


def report(capsys, *arguments: str) -> tuple[int, dict[str, dict], str]:
    capsys.readouterr()
    code = main([*arguments, "--format", "json"])
    out = capsys.readouterr()
    return code, {one["path"]: one for one in json.loads(out.out)["results"]}, out.err


def test_what_could_not_be_measured_is_not_called_verified(folder, capsys, monkeypatch):
    assert main(["compress"]) == 1

    def blind(*_: object) -> None:
        raise PluginError("lens fogged")

    monkeypatch.setattr(ClassifierEvaluator, "observe", blind)
    assert main(["verify"]) == 1
    said = "verified 0 of 2 outputs against their originals; 2 could not be measured"
    assert said in capsys.readouterr().err


def test_a_webp_that_keeps_its_tag_is_measured_as_it_was_shrunk(folder, capsys):
    """Where it is to be turned it is left alone; what is measured here is upright either way."""
    rule(folder, ('["*.jpg"]', '["*.webp"]'), ("[jpeg]", "[webp]"), ("    keep:", "    orientation: keep\n    keep:"))
    tag = Image.Exif()
    tag[0x0112] = 6
    (folder / "turned.webp").write_bytes(encoded(photo((240, 180)), "WEBP", quality=97, exif=tag))
    assert main(["compress", "turned.webp"]) == 1
    code, found, said = report(capsys, "verify", "turned.webp")
    assert (code, found["turned.webp"]["status"]) == (0, "unchanged")
    assert "verified 1 of 1" in said
    assert main(["evaluate", "turned.webp", "turned.webp"]) == 0


def test_an_output_of_ours_of_a_kind_that_is_left_alone_fails(folder, capsys):
    """As a compressor may have written that nobody held to still pictures."""
    assert main(["compress", "0.jpg"]) == 1
    made = (folder / "0.jpg").read_bytes()
    animated = io.BytesIO()
    frames = [photo((240, 180), seed) for seed in range(2)]
    frames[0].save(animated, "WEBP", save_all=True, append_images=frames[1:])
    (folder / "0.jpg").write_bytes(animated.getvalue())
    lock = folder / "semcompress.lock"
    lock.write_text(lock.read_text().replace(sha256(made).hexdigest(), sha256(animated.getvalue()).hexdigest()))
    code, results, err = report(capsys, "verify", "0.jpg")
    assert (code, results["0.jpg"]["reason"]) == (1, "cannot be measured: is animated")
    assert "verified 0 of 1 outputs against their originals; 1 could not be measured" in err


def test_what_holds_is_verified_and_what_a_stricter_policy_refuses_is_named(folder, capsys):
    assert main(["compress"]) == 1
    code, results, err = report(capsys, "verify")
    assert code == 0
    assert {one["status"] for one in results.values()} == {"unchanged"}
    assert all(one["looks"] == 1 for one in results.values())
    assert err == "semcompress: verified 2 of 2 outputs against their originals\n"
    rule(folder, ("0.05", "0.0000001"))
    before = (folder / "0.jpg").read_bytes()
    code, results, _ = report(capsys, "verify")
    assert code == 1
    assert results["0.jpg"]["status"] == "failed"
    assert "does not hold what its policy asks within 0.0001: classifier.js_divergence" in results["0.jpg"]["reason"]
    assert report(capsys, "verify", "--tolerance", "1")[0] == 0
    assert report(capsys, "verify", "0.jpg", "--tolerance", "1")[1].keys() == {"0.jpg"}
    assert (folder / "0.jpg").read_bytes() == before
    assert main(["verify", "--tolerance", "-1"]) == 2
    assert main(["verify", "nope.jpg"]) == 2


def test_without_its_original_a_picture_is_counted_and_fails_only_where_that_is_asked(
    folder, tmp_path, monkeypatch, capsys
):
    assert main(["compress"]) == 1
    commit(folder)
    git(tmp_path, "clone", "-q", f"file://{folder}", "clone")
    monkeypatch.chdir(tmp_path / "clone")
    code, results, err = report(capsys, "verify")
    assert code == 0
    assert {one["status"] for one in results.values()} == {"skipped"}
    assert results["0.jpg"]["reason"].startswith("was not compared: its original ")
    assert err.endswith(
        "verified 0 of 2 outputs against their originals; 2 could not be, their originals are not here\n"
    )
    assert report(capsys, "verify", "--require-originals")[0] == 1
    assert main(["originals", "fetch"]) == 0
    code, results, _ = report(capsys, "verify", "--require-originals")
    assert (code, {one["status"] for one in results.values()}) == (0, {"unchanged"})


def test_what_was_never_settled_or_edited_since_is_not_verified(folder, capsys):
    assert main(["compress", "0.jpg"]) == 1
    (folder / "0.jpg").write_bytes(encoded(photo((240, 180), 9), "JPEG", quality=20))
    code, results, _ = report(capsys, "verify")
    assert code == 0
    assert {one["status"] for one in results.values()} == {"skipped"}
    assert "not settled" in results["0.jpg"]["reason"]


def test_outputs_beside_are_compared_with_what_they_lie_beside(folder, capsys):
    rule(folder, ("compress: [jpeg]", "compress: [webp]\n    outputs: {formats: [webp], place: beside}"))
    assert main(["compress"]) == 1
    code, results, _ = report(capsys, "verify")
    assert (code, results["0.jpg"]["looks"]) == (0, 1)
    (folder / "0.webp").write_bytes(b"something else")
    code, results, _ = report(capsys, "verify")
    assert code == 1
    assert results["0.jpg"]["reason"].startswith("0.webp, which should lie beside it, is not what was written")


def test_a_tolerance_moves_bounds_outwards():
    metric = Metric("m", "a metric", higher_is_better=True)
    moved = tolerant(Rule("r", ("*",), keep=(Constraint("e", metric, min=0.9, max=0.95),)), 0.01)
    assert moved.keep[0].holds(0.891)
    assert moved.keep[0].holds(0.959)
    assert not moved.keep[0].holds(0.889)
    assert not moved.keep[0].holds(0.961)
    with pytest.raises(ValueError, match="at least 0"):
        tolerant(moved, float("nan"))


def test_verify_moves_its_bounds_by_the_tolerance_that_is_given_or_a_little(folder, capsys):
    """Another processor or library version may measure a last digit otherwise: that must not fail a build."""
    assert main(["compress"]) == 1
    code, results, _ = report(capsys, "check")
    assert code == 0
    lines = (folder / "semcompress.lock").read_text().splitlines()[1:]
    worst = max(json.loads(line)["scores"]["classifier"]["js_divergence"] for line in lines)
    for beyond, tolerance, expected in ((0.00005, [], 0), (0.01, [], 1), (0.01, ["--tolerance", "0.02"], 0)):
        rule(folder, ("max: 0.05", f"max: {worst - beyond:.6f}"))
        code, results, _ = report(capsys, "verify", *tolerance)
        failed = [path for path, result in results.items() if result["status"] == "failed"]
        assert (code, bool(failed)) == (expected, bool(expected)), (beyond, tolerance, results)
    code, results, _ = report(capsys, "verify", "--tolerance", "0")
    assert code == 1


# ---- budgets


@pytest.mark.parametrize(
    ("written", "count"),
    [("200 kB", 200_000), ("200kB", 200_000), ("1.5 MB", 1_500_000), ("2 KiB", 2048), ("7 B", 7), (900, 900)],
)
def test_a_budget_is_a_size(written, count):
    assert budget.in_bytes(written) == count
    text = f'version: 1\nrules:\n  - {{name: a, files: ["*"], budget: {written}}}\n'
    assert parse_policy(text, Stand(), Path()).rules[0].budget == count


@pytest.mark.parametrize("written", ["200", '"200"', "lots", "0", "-1", "2 TB", "[]"])
def test_a_budget_that_is_none_is_refused(written):
    text = f'version: 1\nrules:\n  - {{name: a, files: ["*"], budget: {written}}}\n'
    if written == "200":
        assert parse_policy(text, Stand(), Path()).rules[0].budget == 200
        return
    with pytest.raises(PolicyError, match="expected a size such as 200 kB"):
        parse_policy(text, Stand(), Path())


def test_a_budget_is_no_reason_to_settle_anew():
    plain, guarded = (
        parse_policy(f'version: 1\nrules:\n  - {{name: a, files: ["*"]{more}}}\n', Stand(), Path()).rules[0]
        for more in ("", ", budget: 1 kB")
    )
    assert plain.digest == guarded.digest


def test_a_picture_above_its_budget_fails_and_is_not_shrunk_below_its_constraints(folder, capsys):
    assert main(["compress"]) == 1
    size = (folder / "0.jpg").stat().st_size
    assert main(["check"]) == 0
    rule(folder, ("files:", "budget: 100 B\n    files:"))
    for command in ("check", "compress", "verify"):
        code, results, _ = report(capsys, command)
        assert code == 1, command
        assert results["0.jpg"]["status"] == "failed"
        assert results["0.jpg"]["reason"].startswith("above its budget: ")
        assert "rule all allows 100 B" in results["0.jpg"]["reason"]
    assert (folder / "0.jpg").stat().st_size == size


def test_one_that_was_just_shrunk_and_is_still_above_its_budget_gets_a_line(folder, capsys):
    rule(folder, ("files:", "budget: 100 B\n    files:"))
    assert main(["compress", "0.jpg"]) == 1
    assert "semcompress: 0.jpg: above its budget: " in capsys.readouterr().err
    assert main(["compress", "0.jpg"]) == 1, "and goes on failing"


def test_a_skipped_file_has_a_budget_too(folder, capsys):
    rule(folder, ("files:", "skip: true\n    budget: 100 B\n    files:"))
    code, results, _ = report(capsys, "check")
    assert (code, results["0.jpg"]["status"]) == (1, "failed")


# ---- the baseline


def test_old_pictures_may_stay_but_never_change(folder, capsys):
    before = (folder / "0.jpg").read_bytes()
    assert main(["check"]) == 1
    capsys.readouterr()
    assert main(["baseline"]) == 0
    assert capsys.readouterr().out == "semcompress.baseline: 2 pictures may stay as they are\n"
    code, results, _ = report(capsys, "check")
    assert code == 0
    assert results["0.jpg"]["reason"] == "stands in the baseline"
    assert main(["compress", "0.jpg"]) == 0
    assert (folder / "0.jpg").read_bytes() == before
    (folder / "0.jpg").rename(folder / "renamed.jpg")
    assert main(["check"]) == 0, "the content counts"
    (folder / "renamed.jpg").write_bytes(encoded(photo((260, 180), 0), "JPEG", quality=99))
    assert main(["check"]) == 1
    assert main(["compress", "--no-baseline"]) == 1
    capsys.readouterr()
    assert main(["baseline"]) == 0
    assert capsys.readouterr().out == "semcompress.baseline: 0 pictures may stay as they are; 2 no longer need to\n"


def test_a_baseline_of_one_picture_speaks_of_one(folder, capsys):
    (folder / "1.jpg").unlink()
    assert main(["baseline"]) == 0
    assert capsys.readouterr().out == "semcompress.baseline: 1 picture may stay as it is\n"
    (folder / "0.jpg").unlink()
    assert main(["baseline"]) == 0
    assert capsys.readouterr().out == "semcompress.baseline: 0 pictures may stay as they are; 1 no longer needs to\n"


def test_a_baseline_whose_policy_has_no_pictures_left_loses_its_lines_too(folder, capsys):
    (folder / "n").mkdir()
    shutil.copy(folder / ".semcompress.yaml", folder / "n")
    (folder / "0.jpg").rename(folder / "n/0.jpg")
    assert main(["baseline"]) == 0
    old = parse((folder / "n/semcompress.baseline").read_text(), "")
    assert [one.path for one in old] == ["0.jpg"]
    capsys.readouterr()
    (folder / "n/0.jpg").unlink()
    assert main(["baseline"]) == 0
    assert "n/semcompress.baseline: 0 pictures may stay as they are; 1 no longer needs to" in capsys.readouterr().out
    assert not parse((folder / "n/semcompress.baseline").read_text(), "")


def test_a_baseline_only_ratchets_down_unless_it_is_renewed(folder, capsys):
    assert main(["baseline"]) == 0
    (folder / "new.jpg").write_bytes(encoded(photo((240, 180), 5), "JPEG", quality=97))
    capsys.readouterr()
    assert main(["baseline"]) == 0
    assert (
        "2 pictures may stay as they are; 1 other is not in it (--renew adds what is missing)"
        in capsys.readouterr().out
    )
    assert main(["check"]) == 1
    assert main(["baseline", "--renew"]) == 0
    assert main(["check"]) == 0


def test_the_baseline_spares_what_is_above_its_budget_and_says_so_again_next_time(folder, capsys):
    assert main(["compress"]) == 1
    rule(folder, ("files:", "budget: 100 B\n    files:"))
    assert main(["check"]) == 1
    for _ in range(2):
        assert main(["baseline"]) == 0
        assert main(["check"]) == 0
    assert len(parse((folder / "semcompress.baseline").read_text(), "x")) == 2


def test_a_baseline_is_sorted_lines_that_any_order_gives_and_union_merges():
    some = [Old("b\udcff.jpg", "b" * 64, 2), Old("a.jpg", "a" * 64, 1)]
    assert render(some) == render(reversed(some))
    assert parse(render(some), "x") == set(some)
    assert parse(render(some[:1]) + render(some[1:]), "x") == set(some)
    assert render(some).isascii()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense\n", r"x:1: not a line of a baseline"),
        ("<<<<<<< ours\n", r"x:1: .*delete the marker lines"),
        ('{"format": "semcompress.baseline", "version": 2}\n', r"x:1: .*upgrade"),
        ('{"path": "a", "sha256": "short", "bytes": 1}\n', r"x:1: not a line"),
        ("[" * 100_000, r"x:1: not a line"),
    ],
)
def test_a_baseline_that_cannot_be_used_says_where_and_what_to_do(text, words):
    with pytest.raises(BaselineError, match=words):
        parse(text, "x")


def test_a_damaged_baseline_stops_a_run(folder, capsys):
    (folder / "semcompress.baseline").write_text("nonsense\n")
    assert main(["check"]) == 2
    assert "semcompress.baseline:1: not a line" in capsys.readouterr().err


# ---- ^C


def test_an_interruption_settles_what_is_finished(folder, capsys, monkeypatch):
    monkeypatch.setattr(_shrinking, "SECONDS_BETWEEN_COMMITS", 1e9)
    real = compress.look

    def look(*arguments, **options):
        seen = real(*arguments, **options)
        yield next(seen)
        seen.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(compress, "look", look)
    before = {path: path.read_bytes() for path in folder.glob("*.jpg")}
    assert main(["compress"]) == 130
    assert capsys.readouterr().err.startswith("semcompress: interrupted")
    assert sum(path.read_bytes() != data for path, data in before.items()) == 1
    monkeypatch.setattr(compress, "look", real)
    asked = []
    load = shrink.Work.load
    monkeypatch.setattr(shrink.Work, "load", lambda self: (asked.append(1), load(self))[1])
    assert main(["compress"]) == 1
    assert len(asked) == 1, "the finished search was not lost"


def test_an_interruption_while_a_group_is_written_leaves_no_half_of_it(folder, monkeypatch):
    monkeypatch.setattr(_shrinking, "SECONDS_BETWEEN_COMMITS", 1e9)
    really = settle._commit

    def commit(*arguments):
        signal.raise_signal(signal.SIGINT)
        return really(*arguments)

    monkeypatch.setattr(settle, "_commit", commit)
    before = {path: path.read_bytes() for path in folder.glob("*.jpg")}
    assert main(["compress"]) == 130
    assert all(path.read_bytes() != data for path, data in before.items())


def test_an_interruption_waits_for_the_group_that_is_being_written():
    done = []

    def write():
        with interrupt.held_back():
            signal.raise_signal(signal.SIGINT)
            done.append("written")
        done.append("and on")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done == ["written"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
