"""What a policy without mistakes asks for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from PIL import Image

from policy_registry import SCALE, Stand, compressor
from semcompress_plugin.errors import PolicyError
from semcompress_plugin.policy import default_policy, load_policy, parse_policy, presets, schema
from semcompress_plugin.policy.nodes import read
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import CompressorUse, EvaluatorUse, Outputs, SearchUse


def policy(text, registry=None):
    return parse_policy(text, registry or Stand(), Path("/site"))


def rule(body, top="", registry=None):
    head = f"version: 1\n{top}\nrules:\n  - name: a\n    files: [a.jpg]\n"
    return policy(head + "\n".join(f"    {line}" for line in body.splitlines()), registry).rules[0]


def bounds(rule):
    return [str(constraint) for constraint in rule.keep]


def ranges(rule):
    return {use.name: {knob.name: (knob.low, knob.high) for knob in use.knobs} for use in rule.compress}


def test_without_rules_there_is_one_for_every_picture_with_the_web_preset():
    found = policy("version: 1")
    assert [rule.name for rule in found.rules] == ["all"]
    every = found.rule_for("any/where/A.JPG")
    assert every is found.rules[0]
    assert (every.preset, every.skip, every.outputs) == ("web", False, Outputs(("keep",), "replace"))
    assert found.root == Path("/site")
    assert found.originals is None


def test_the_default_policy_is_one_rule_with_a_preset():
    assert default_policy(Stand(), Path()).rules == policy("version: 1").rules
    assert default_policy(Stand(), Path(), "machine").rules[0].preset == "machine"
    with pytest.raises(PolicyError, match="unknown preset 'mashine'"):
        default_policy(Stand(), Path(), "mashine")


def test_the_preset_web_keeps_pictures_in_pixels_and_name_and_guards_models_and_people():
    web = policy("version: 1").rules[0]
    found = ranges(web)
    assert found.pop("repack") == {}  # it changes no pixel
    assert {name: knobs["scale"] for name, knobs in found.items()} == dict.fromkeys(
        ("jpeg", "jpeg-444", "webp", "avif", "png"), (1, 1)
    )
    assert {use.name for use in web.evaluators} == {"classifier", "msssim"}
    assert {(one.evaluator, one.metric.name) for one in web.keep} == {
        ("classifier", "top1_agreement"),
        ("classifier", "js_divergence"),
        ("msssim", "score"),
        ("msssim", "worst_tile"),
        ("msssim", "chroma"),
        ("msssim", "colour_shift"),
        ("msssim", "ringing"),
        ("msssim", "contrast_error"),
        ("msssim", "tint"),
        ("msssim", "patch_shift"),
    }
    assert web.min_saving == 0.05
    assert web.metadata == "strip-private"


def test_the_preset_machine_frees_the_scale_and_asks_models_only():
    machine = policy("version: 1\npreset: machine").rules[0]
    assert ranges(machine)["jpeg"] == {"scale": (0.05, 1), "quality": (1, 95)}
    assert [use.name for use in machine.evaluators] == ["classifier"]


def test_the_preset_text_asks_more_of_the_worst_tile_than_web():
    found = policy("version: 1\nrules: [{name: w, files: [w]}, {name: t, files: [t], preset: text}]")
    web, text = ({c.metric.name: c.min for c in rule.keep if c.evaluator == "msssim"} for rule in found.rules)
    assert text["worst_tile"] > web["worst_tile"]
    assert text["score"] > web["score"]


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_is_sound_and_can_be_pinned(name):
    (found,) = policy(f"version: 1\npreset: {name}").rules
    assert found.preset == name
    assert found.compress
    assert found.keep
    path, node = presets.load(name)
    assert path.stem.split("@")[0] == name.split("@")[0]
    assert "@" not in name or node["version"].value == int(name.split("@")[1])


def test_a_superseded_preset_stays_for_those_who_pinned_it(tmp_path, monkeypatch):
    new = (presets.FOLDER / "machine.yaml").read_text()
    (tmp_path / "web.yaml").write_text(new)
    (tmp_path / "web@1.yaml").write_text((presets.FOLDER / "web.yaml").read_text())
    monkeypatch.setattr(presets, "FOLDER", tmp_path)
    for memory in (presets.names, presets._all):
        memory.cache_clear()
    try:
        assert presets.names() == ("web", "web@1", "web@5")
        counts = [len(policy(f"version: 1\npreset: {name}").rules[0].keep) for name in presets.names()]
        assert counts == [1, 10, 1]
    finally:
        for memory in (presets.names, presets._all):
            memory.cache_clear()


def test_a_rule_may_have_a_preset_of_its_own():
    text = "version: 1\npreset: text\nrules: [{name: a, files: [a], preset: machine}, {name: b, files: [b]}]"
    assert [rule.preset for rule in policy(text).rules] == ["machine", "text"]


def test_keep_of_a_rule_replaces_all_of_the_presets_keep():
    found = rule("keep: {msssim: {score: {min: 0.5, max: 0.9}}}")
    assert bounds(found) == ["msssim.score min 0.5 max 0.9"]
    assert found.evaluators == (EvaluatorUse("msssim", "msssim"),)
    assert {use.name for use in found.compress} == {"jpeg", "jpeg-444", "webp", "avif", "png", "repack"}


def test_compress_of_a_rule_replaces_the_presets_list_but_knobs_not_given_are_as_the_preset_has_them():
    found = rule("compress: [jpeg, {webp: {quality: [40, 95]}}, {avif: {scale: [0.5, 1], quality: 30}}]")
    assert ranges(found) == {
        "jpeg": {"scale": (1, 1), "quality": (1, 95)},
        "webp": {"scale": (1, 1), "quality": (40, 95)},
        "avif": {"scale": (0.5, 1), "quality": (30, 30)},
    }
    assert found.keep == policy("version: 1").rules[0].keep
    assert ranges(rule("compress: [jpeg]", "preset: machine"))["jpeg"]["scale"] == (0.05, 1)
    assert ranges(rule("compress: [jxl]", registry=Stand(compressor("jxl", SCALE))))["jxl"]["scale"] == (1, 1)


def test_compressors_may_be_a_list_or_a_mapping_with_options_beside_knobs():
    text = "compress: {jpeg: {subsampling: 4:2:0, quality: 40}, png: }"
    jpeg, png = rule(text).compress
    assert isinstance(jpeg, CompressorUse)
    assert jpeg.options == {"subsampling": "4:2:0"}
    assert (png.name, png.options) == ("png", {})
    listed = rule("compress: [{jpeg: {subsampling: 4:2:0, quality: 40}}, png]")
    assert listed.compress == (jpeg, png)


def test_knobs_keep_their_kind_of_number():
    (use,) = rule("compress: [{jpeg: {scale: 1, quality: 40.0}}]").compress
    assert [type(knob.low) for knob in use.knobs] == [float, int]


def test_an_evaluator_may_have_a_name_and_options():
    top = "evaluators: {thumbs: {use: classifier, view: center}}"
    found = rule("keep: {thumbs: {top1_agreement: {min: 1}}, msssim: {luma: {min: 0.5}}}", top)
    assert found.evaluators == (
        EvaluatorUse("thumbs", "classifier", {"view": "center"}),
        EvaluatorUse("msssim", "msssim"),
    )
    assert bounds(found) == ["thumbs.top1_agreement min 1", "msssim.luma min 0.5"]


def test_options_under_an_evaluators_own_name_hold_for_presets_too():
    for entry in ("{view: center}", "{use: classifier, view: center}"):
        found = policy(f"version: 1\nevaluators: {{classifier: {entry}}}").rules[0]
        assert found.evaluators[0] == EvaluatorUse("classifier", "classifier", {"view": "center"})


def test_outputs_saving_metadata_and_search():
    found = rule(
        "outputs: {formats: [keep, webp], place: beside}\nmin_saving: 7%\nmetadata: strip-all\n"
        "search: {frontier: {looks: 4, gain: 1e-3}}"
    )
    assert found.outputs == Outputs(("keep", "webp"), "beside")
    assert found.min_saving == 0.07
    assert found.metadata == "strip-all"
    assert found.search == SearchUse("frontier", 4, {"gain": 0.001})
    assert rule("search: bisect").search == SearchUse("bisect")
    assert rule("search: {bisect: }").search == SearchUse("bisect")
    assert rule("outputs: {formats: [smallest]}").outputs == Outputs(("smallest",), "replace")
    assert rule("min_saving: 0").min_saving == 0


def test_limits_and_originals():
    found = policy("version: 1\nlimits: {max_pixels: 1_000_000}\noriginals: ../kept")
    assert found.limits.max_pixels == found.rules[0].limits.max_pixels == 1_000_000
    assert found.originals == "../kept"
    assert policy("version: 1").limits.max_pixels == Image.MAX_IMAGE_PIXELS


def test_a_skipped_rule_says_so_and_needs_nothing_else():
    found = policy("version: 1\nrules: [{name: no-logos, files: ['logo*'], skip: true}, {name: rest, files: ['*']}]")
    assert found.rule_for("x/logo-dark.png").skip
    assert not found.rule_for(PurePosixPath("x/photo.png")).skip


def test_the_first_rule_that_matches_decides_and_without_any_a_file_is_left_alone():
    found = policy("version: 1\nrules: [{name: a, files: ['a*']}, {name: b, files: ['*.jpg']}]")
    assert [r and r.name for r in map(found.rule_for, ("a.jpg", "b.jpg", "c.png"))] == ["a", "b", None]


def test_anchors_share_what_several_rules_ask():
    keep = "&k {msssim: {luma: {min: 0.5}}}"
    text = f"version: 1\nrules: [{{name: a, files: [a], keep: {keep}}}, {{name: b, files: [b], keep: *k}}]"
    first, second = policy(text).rules
    assert first.keep == second.keep
    assert first.digest == second.digest


def test_a_loaded_policy_knows_its_file_and_its_folder(tmp_path):
    path = tmp_path / ".semcompress.yaml"
    path.write_text("version: 1\n", encoding="utf-8")
    found = load_policy(path, Stand())
    assert (found.path, found.root) == (path, tmp_path)
    assert found == load_policy(path, Stand())


def test_policies_hold_for_the_built_in_plugins_too():
    from semcompress_plugin.registry import Registry

    known = Registry()
    assert schema(known)["properties"]["rules"]
    for name in presets.names():
        assert default_policy(known, Path(), name).rules[0].keep


def test_presets_are_read_by_the_same_reader_without_findings():
    for path in presets.FOLDER.glob("*.yaml"):
        assert read(path.read_bytes())[1] == []


def test_reading_a_policy_imports_neither_numpy_nor_pillow_nor_a_runtime_nor_a_validator(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\nrules: [{name: a, files: ['*.jpg'], compress: [{jpeg: {subsampling: 4:2:0}}]}]\n")
    code = (
        "import sys; from pathlib import Path; from policy_registry import Stand\n"
        "from semcompress_plugin.policy import load_policy\n"
        f"load_policy(Path({str(path)!r}), Stand()).rule_for('a.jpg')\n"
        "heavy = {'numpy', 'PIL', 'onnxruntime', 'torch', 'jsonschema', 'difflib', 'importlib.metadata'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{here}:{here.parent}", "PATH": ""},
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [name for name in presets.names() if "@" not in name])
def test_no_preset_lets_its_own_classifier_change_its_verdict(name):
    (rule,) = default_policy(Registry(), Path(), name).rules
    lost = {"top1_agreement": 0.0, "sway": 1.0}
    assert any(not c.holds(lost[c.metric.name]) for c in rule.keep if c.metric.name in lost)
