"""Every mistake in a policy is found at its line and column, with what was expected and the nearest known name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictures import registry
from policy_registry import Knob, Stand, compressor
from semcompress_plugin.errors import PluginError, PolicyError
from semcompress_plugin.policy import load_policy, parse_policy

RULE = 'version: 1\nrules:\n  - name: a\n    files: ["*.jpg"]\n    '


def findings(text, registry=None):
    try:
        parse_policy(text, registry or Stand(), Path(), "p.yaml")
    except PolicyError as error:
        return str(error).splitlines()
    return []


MISTAKES = {
    "empty": (
        "",
        ["1:1: expected a policy: a mapping that begins with `version: 1`, got nothing"],
    ),
    "a list": (
        "- version: 1",
        ["1:1: expected a policy: a mapping that begins with `version: 1`, got a list"],
    ),
    "no version": (
        "preset: web",
        ["1:1: 'version' is missing, expected 1"],
    ),
    "newer version": (
        "version: 2\nnonsense: 1",
        ["1:10: version: expected at most 1, got 2: install a semcompress that knows it"],
    ),
    "version as text": (
        'version: "1"',
        ["1:10: version: expected 1, got the text '1'; remove the quotes"],
    ),
    "unknown key": (
        "version: 1\nrulez: []",
        [
            "2:1: unknown key 'rulez'; did you mean 'rules'? "
            "known: evaluators, isolate, limits, originals, preset, rules, version"
        ],
    ),
    "unknown key in a rule": (
        RULE + "kep: {}",
        [
            "5:5: rules[0]: unknown key 'kep'; did you mean 'keep'? known: budget, compress, files, icc, keep, "
            "metadata, min_saving, name, orientation, outputs, preset, search, skip"
        ],
    ),
    "isolate among the limits": (
        "version: 1\nlimits: {isolate: true}",
        ["2:10: limits: unknown key 'isolate'; isolate is a key of its own, at the top of the policy"],
    ),
    "isolate among the limits and at the top": (
        "version: 1\nisolate: false\nlimits: {max_frames: 5, isolate: true}",
        ["3:25: limits: unknown key 'isolate'; isolate is a key of its own, at the top of the policy"],
    ),
    "a key of outputs in a rule": (
        RULE + "place: beside",
        ["5:5: rules[0]: unknown key 'place'; place is a key of `outputs`, in a rule"],
    ),
    "keys of rules and of limits at the top": (
        "version: 1\nmetadata: keep\nmax_pixels: 5",
        [
            "2:1: unknown key 'metadata'; metadata is a key of rules: write it in one",
            "3:1: unknown key 'max_pixels'; max_pixels is a key of `limits`, at the top of the policy",
        ],
    ),
    "a knob in a rule": (
        RULE + "quality: 40",
        ["5:5: rules[0]: unknown key 'quality'; quality is a knob of compressors, within `compress`"],
    ),
    "originals within .git": (
        "version: 1\noriginals: docs/../.git/x",
        [
            "2:12: originals: expected `git`, `none` or a folder that is not within .git, which is git's alone, "
            "got 'docs/../.git/x'"
        ],
    ),
    "limits of a rule": (
        RULE + "limits: {max_frames: 5}",
        ["5:5: rules[0]: unknown key 'limits'; limits is a key of its own, at the top of the policy"],
    ),
    "duplicate key": (
        "version: 1\npreset: web\npreset: text",
        ["3:1: duplicate key 'preset'; it stands in line 2 already"],
    ),
    "no rules": (
        "version: 1\nrules: []",
        ["2:8: rules: expected a list of rules, got an empty one"],
    ),
    "rule without name and files": (
        "version: 1\nrules:\n  - skip: true",
        [
            '3:5: rules[0]: \'files\' is missing, expected a list of patterns such as ["*.jpg", "!raw/"]',
            "3:5: rules[0]: 'name' is missing, expected a name",
        ],
    ),
    "rule that is a name": (
        "version: 1\nrules: [photos]",
        ["2:9: rules[0]: expected a rule: a mapping with `name` and `files`, got the text 'photos'"],
    ),
    "two rules with one name": (
        RULE + 'skip: true\n  - files: ["b"]\n    name: a',
        ["7:11: rules[1].name: two rules are called 'a', the first in line 3"],
    ),
    "name that YAML 1.1 reads as yes or no": (
        'version: 1\nrules: [{name: no, files: ["a"]}]',
        ['2:16: rules[0].name: expected a name, got no, which YAML reads as false; put it in quotes: "no"'],
    ),
    "name with control characters": (
        'version: 1\nrules: [{name: "a\\e[31m", files: ["a"]}]',
        ["2:16: rules[0].name: expected printable text, got 'a\\x1b[31m'"],
    ),
    "files as text": (
        "version: 1\nrules: [{name: a, files: a}]",
        ['2:26: rules[0].files: expected a list of patterns such as ["*.jpg", "!raw/"], got the text \'a\'; write [a]'],
    ),
    "files of the wrong type": (
        "version: 1\nrules: [{name: a, files: [1, true]}]",
        [
            "2:27: rules[0].files[0]: expected a pattern, got the number 1",
            '2:30: rules[0].files[1]: expected a pattern, got true; put it in quotes: "true"',
        ],
    ),
    "bad patterns": (
        'version: 1\nrules: [{name: a, files: ["*.{jpg,png}", "./a", "a[", "b"]}]',
        [
            "2:27: rules[0].files[0]: gitignore patterns know no {a,b}: write one pattern for each, got '*.{jpg,png}'",
            "2:42: rules[0].files[1]: expected a path below the policy's folder, without ./ and ../, got './a'",
            "2:49: rules[0].files[2]: expected ] to close [ (write \\[ for the character itself), got 'a['",
        ],
    ),
    "search without options": (
        'version: 1\nrules: [{name: a, files: ["*.jpg"], search: {looks: 3}}]',
        ["2:46: rules[0].search: unknown search 'looks'; known: bisect, frontier"],
    ),
    "search with a number": (
        'version: 1\nrules: [{name: a, files: ["*.jpg"], search: {frontier: 3}}]',
        ["2:56: rules[0].search.frontier: expected options, got the number 3"],
    ),
    "only patterns that take out": (
        'version: 1\nrules: [{name: a, files: ["!raw/"]}]',
        ["2:26: rules[0].files: expected a pattern that takes files in, got only such as take out (!)"],
    ),
    "skip as text": (
        RULE + "skip: y",
        ["5:11: rules[0].skip: expected true or false, got the text 'y'"],
    ),
    "unknown preset": (
        "version: 1\npreset: wbe",
        [
            "2:9: preset: unknown preset 'wbe'; did you mean 'web'? "
            "known: machine, machine@1, machine@2, machine@3, machine@4, machine@5, text, text@1, text@2, text@3, "
            "text@4, text@5, web, web@1, web@2, web@3, web@4, web@5, web@6, web@7"
        ],
    ),
    "unknown version of a preset": (
        RULE + "preset: web@8",
        [
            "5:13: rules[0].preset: unknown preset 'web@8'; did you mean 'web@7'? "
            "known: machine, machine@1, machine@2, machine@3, machine@4, machine@5, text, text@1, text@2, text@3, "
            "text@4, text@5, web, web@1, web@2, web@3, web@4, web@5, web@6, web@7"
        ],
    ),
    "unknown compressors, in the registry's words": (
        RULE + "compress: [jpg, {wepb: {}}]",
        [
            "5:16: rules[0].compress[0]: unknown compressor 'jpg'; "
            "the registry knows jpeg, jpeg-444, webp, avif, png, repack",
            "5:22: rules[0].compress[1]: unknown compressor 'wepb'; "
            "the registry knows jpeg, jpeg-444, webp, avif, png, repack",
        ],
    ),
    "compress of the wrong type": (
        RULE + "compress: jpeg",
        ["5:15: rules[0].compress: expected a list of compressors or a mapping of compressors, got the text 'jpeg'"],
    ),
    "no compressor": (
        RULE + "compress: []",
        ["5:15: rules[0].compress: expected a list of compressors, got an empty one"],
    ),
    "two compressors in one entry": (
        RULE + "compress: [{jpeg: {}, webp: {}}]",
        ["5:16: rules[0].compress[0]: expected a compressor with its settings, got 2"],
    ),
    "a compressor twice": (
        RULE + "compress: [jpeg, {jpeg: {quality: 40}}]",
        ["5:23: rules[0].compress[1]: 'jpeg' is there already; give all its settings in one place"],
    ),
    "unknown knob": (
        RULE + "compress: {jpeg: {qualty: 40}}",
        [
            "5:23: rules[0].compress.jpeg: unknown knob or option of jpeg 'qualty'; did you mean 'quality'? "
            "known: quality, scale, subsampling"
        ],
    ),
    "knob out of range": (
        RULE + "compress: {jpeg: {quality: 96}, webp: {scale: [0, 1]}}",
        [
            "5:32: rules[0].compress.jpeg.quality: expected a whole number from 1 to 95, got 96",
            "5:52: rules[0].compress.webp.scale[0]: expected a number from 0.05 to 1, got 0",
        ],
    ),
    "knob of the wrong type": (
        RULE + "compress: {jpeg: {quality: 40.5, scale: '1'}}",
        [
            "5:32: rules[0].compress.jpeg.quality: expected a whole number from 1 to 95 or a range [low, high], "
            "got the number 40.5",
            "5:45: rules[0].compress.jpeg.scale: expected a number from 0.05 to 1 or a range [low, high], "
            "got the text '1'; remove the quotes",
        ],
    ),
    "knob with low above high": (
        RULE + "compress: [{jpeg: {quality: [90, 40]}}]",
        ["5:33: rules[0].compress[0].jpeg.quality: expected [low, high], got [90, 40]"],
    ),
    "knob with three ends": (
        RULE + "compress: [{jpeg: {quality: [1, 2, 3]}}]",
        ["5:33: rules[0].compress[0].jpeg.quality: expected a range [low, high], got 3"],
    ),
    "options": (
        RULE + "compress: {jpeg: {subsampling: 4:2:2}, webp: {method: fast}}",
        [
            "5:36: rules[0].compress.jpeg.subsampling: expected one of 4:4:4, 4:2:0, got the text '4:2:2'; "
            "did you mean '4:2:0'?",
            "5:59: rules[0].compress.webp.method: expected a whole number of at most 6, got the text 'fast'",
        ],
    ),
    "no constraint": (
        RULE + "keep: {}",
        [
            "5:11: rules[0].keep: expected constraints such as {msssim: {score: {min: 0.97}}}, got an empty one",
        ],
    ),
    "evaluator without metric, metric without bound": (
        RULE + "keep: {classifier: {}, msssim: {score: {}, luma: 1}}",
        [
            "5:24: rules[0].keep.classifier: expected metrics, each with a bound such as {max: 0.02}, got an empty one",
            "5:44: rules[0].keep.msssim.score: expected a bound such as {max: 0.02}, got an empty one",
            "5:54: rules[0].keep.msssim.luma: expected a bound such as {max: 0.02}, got the number 1",
        ],
    ),
    "unknown evaluator": (
        RULE + "keep: {clasifier: {js_divergence: {max: 0.1}}}",
        ["5:12: rules[0].keep: unknown evaluator 'clasifier'; the registry knows classifier, msssim"],
    ),
    "unknown evaluator near one of the policy's own": (
        "version: 1\nevaluators: {thumbs: {use: msssim}}\n"
        "rules: [{name: a, files: [a], keep: {tumbs: {score: {min: 0.9}}}}]",
        ["3:38: rules[0].keep: unknown evaluator 'tumbs'; did you mean 'thumbs'? known: classifier, msssim, thumbs"],
    ),
    "unknown metric": (
        RULE + "keep: {classifier: {js_divergense: {max: 0.1}}}",
        [
            "5:25: rules[0].keep.classifier: unknown metric of classifier 'js_divergense'; "
            "did you mean 'js_divergence'? known: confidence_ratio, feature_cosine, js_divergence, sway, "
            "top1_agreement, topk_overlap"
        ],
    ),
    "unknown metric of an evaluator that the policy names": (
        "version: 1\nevaluators: {thumbs: {use: msssim}}\n"
        "rules: [{name: a, files: [a], keep: {thumbs: {scored: {min: 0.9}, luma: {min: 2}}}}]",
        [
            "3:47: rules[0].keep.thumbs: unknown metric of msssim 'scored'; did you mean 'score'? "
            "known: chroma, colour_shift, contrast_error, luma, patch_shift, ringing, score, tint, worst_tile",
            "3:79: rules[0].keep.thumbs.luma.min: expected a number from 0 to 1, got 2",
        ],
    ),
    "unknown kind of bound": (
        RULE + "keep: {msssim: {score: {mim: 0.9}}}",
        ["5:29: rules[0].keep.msssim.score: unknown key 'mim'; did you mean 'min'? known: max, min"],
    ),
    "bound out of the metric's range": (
        RULE + "keep: {msssim: {score: {min: 97}}}",
        ["5:34: rules[0].keep.msssim.score.min: expected a number from 0 to 1, got 97"],
    ),
    "contradictory bounds": (
        RULE + "keep: {msssim: {score: {min: 0.9, max: 0.8}}}",
        ["5:28: rules[0].keep.msssim.score: expected min below max, got min 0.9 and max 0.8"],
    ),
    "bounds on the wrong side alone": (
        RULE + "keep: {classifier: {js_divergence: {min: 0.02}}, msssim: {score: {max: 0.992}}}",
        [
            "5:46: rules[0].keep.classifier.js_divergence.min: a min alone lets the worst pass: js_divergence is the "
            "better the lower; expected max",
            "5:76: rules[0].keep.msssim.score.max: a max alone lets the worst pass: score is the better the higher; "
            "expected min",
        ],
    ),
    "bounds that nothing can fail": (
        RULE + "keep: {classifier: {js_divergence: {max: 1}, confidence_ratio: {min: 0.0, max: 7}}}",
        [
            "5:46: rules[0].keep.classifier.js_divergence.max: nothing can fail this: js_divergence is never above 1; "
            "remove it",
            "5:74: rules[0].keep.classifier.confidence_ratio.min: nothing can fail this: confidence_ratio is never "
            "below 0; remove it",
        ],
    ),
    "bound that is not a number": (
        RULE + "keep: {msssim: {score: {min: .nan, max: yes}}}",
        [
            "5:34: rules[0].keep.msssim.score.min: expected a number from 0 to 1, got the text '.nan'",
            "5:45: rules[0].keep.msssim.score.max: expected a number from 0 to 1, got yes, which YAML reads as true",
        ],
    ),
    "evaluators": (
        "version: 1\nevaluators:\n  a: {view: full}\n  b: {use: clasifier}\n  c: {use: classifier, veiw: full}\n"
        "  d: {use: classifier, view: fall}\n  msssim: {use: classifier}\n  e: classifier",
        [
            "3:6: evaluators.a: 'use' is missing, expected an evaluator (classifier, msssim)",
            "4:12: evaluators.b.use: unknown evaluator 'clasifier'; the registry knows classifier, msssim",
            "5:24: evaluators.c: unknown option of classifier 'veiw'; did you mean 'view'? known: use, view",
            "6:30: evaluators.d.view: expected one of center, full, both, got the text 'fall'; did you mean 'full'?",
            "7:17: evaluators.msssim.use: expected 'msssim', got the text 'classifier'",
            "8:6: evaluators.e: expected an evaluator such as {use: classifier, view: center}, "
            "got the text 'classifier'",
        ],
    ),
    "two outputs with one name": (
        RULE + "outputs: {formats: [webp, webp], place: beside}",
        ["5:31: rules[0].outputs.formats[1]: 'webp' is there already; remove it"],
    ),
    "two outputs in one place": (
        RULE + "outputs: {formats: [keep, webp]}",
        [
            "5:31: rules[0].outputs.formats: place: replace takes one format, got 2; choose one, or place: beside",
        ],
    ),
    "smallest and others": (
        RULE + "outputs: {formats: [webp, smallest], place: beside}",
        ["5:31: rules[0].outputs.formats: 'smallest' chooses among all formats and stands alone, got others too"],
    ),
    "unknown format and place": (
        RULE + "outputs: {formats: [jpg], place: besides}",
        [
            "5:25: rules[0].outputs.formats[0]: unknown format 'jpg'; did you mean 'jpeg'? "
            "known: avif, jpeg, keep, png, smallest, webp",
            "5:38: rules[0].outputs.place: expected one of replace, beside, got the text 'besides'; "
            "did you mean 'beside'?",
        ],
    ),
    "format that no listed compressor writes": (
        RULE + "compress: [jpeg, png]\n    outputs: {formats: [webp]}",
        ["6:25: rules[0].outputs.formats: no compressor of this rule (jpeg, png) writes webp; they write jpeg, png"],
    ),
    "min_saving": (
        RULE + "min_saving: 5\n  - {name: b, files: [b], min_saving: 120%}\n  - {name: c, files: [c], min_saving: []}",
        [
            "5:17: rules[0].min_saving: expected a percentage below 100% such as 5%, or a fraction such as 0.05, got 5",
            "6:39: rules[1].min_saving: expected a percentage below 100% such as 5%, or a fraction such as 0.05, "
            "got the text '120%'",
            "7:39: rules[2].min_saving: expected a percentage below 100% such as 5%, or a fraction such as 0.05, "
            "got an empty list",
        ],
    ),
    "metadata": (
        RULE + "metadata: strip",
        [
            "5:15: rules[0].metadata: expected one of keep, strip-private, strip-all, got the text 'strip'; "
            "did you mean 'strip-all'?"
        ],
    ),
    "search": (
        RULE + "search: fronteir\n  - {name: b, files: [b], search: {frontier: {looks: 0, gian: 1, gain: 0}}}",
        [
            "5:13: rules[0].search: unknown search 'fronteir'; did you mean 'frontier'? known: bisect, frontier",
            "6:54: rules[1].search.frontier.looks: expected a whole number of at least 1, got 0",
            "6:57: rules[1].search.frontier: unknown option of frontier 'gian'; did you mean 'gain'? "
            "known: gain, looks",
            "6:72: rules[1].search.frontier.gain: expected a number above 0, got 0",
        ],
    ),
    "limits": (
        "version: 1\nlimits: {max_pixels: -1, max_pixel: 3}",
        [
            "2:22: limits.max_pixels: expected a whole number of at least 1, got -1",
            "2:26: limits: unknown key 'max_pixel'; did you mean 'max_pixels'? "
            "known: max_frames, max_metadata, max_pixels, max_seconds",
        ],
    ),
    "originals": (
        "version: 1\noriginals: no",
        ['2:12: originals: expected git, none or a folder, got no, which YAML reads as false; put it in quotes: "no"'],
    ),
    "a unit of bytes in other letters": (
        'version: 1\nrules: [{name: a, files: ["*.jpg"], budget: 200kb}]',
        [
            "2:45: rules[0].budget: expected a size such as 200 kB or 1.5 MB (in B, kB, MB, KiB or MiB, spelt so), or "
            "a number of bytes, got the text '200kb'"
        ],
    ),
    "columns count letters, not bytes": (
        'version: 1\nrules: [{name: "фото", files: ["*.jpg"], kept: 1}]',
        [
            "2:42: rules[0]: unknown key 'kept'; did you mean 'keep'? known: budget, compress, files, icc, keep, "
            "metadata, min_saving, name, orientation, outputs, preset, search, skip"
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_every_mistake_is_found_at_its_place(text, expected):
    assert findings(text) == [f"p.yaml:{finding}" for finding in expected]


def test_all_mistakes_of_a_file_are_found_at_once_in_the_order_of_the_text():
    found = findings("\n".join(["version: 1", "preset: x", "limits: 3", "rules: [{name: a, files: ['!x'], keep: 1}]"]))
    assert [finding.split(": ")[0] for finding in found] == ["p.yaml:2:9", "p.yaml:3:9", "p.yaml:4:26", "p.yaml:4:40"]


def test_the_text_of_an_error_begins_with_the_path_of_the_file(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("version: 1\npreset: x\n")
    with pytest.raises(PolicyError, match=r"my\.yaml:2:9: preset: unknown preset 'x'") as caught:
        load_policy(path, Stand())
    assert caught.value.findings[0].startswith(f"{path}:2:9: ")


def test_a_policy_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    with pytest.raises(PolicyError, match=r"no\.yaml: cannot be read: No such file"):
        load_policy(tmp_path / "no.yaml", Stand())
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path, Stand())


def test_a_preset_asking_a_knob_for_more_than_a_compressor_can_is_an_error_where_the_compressor_is_named():
    registry = Stand(compressor("tiny", Knob("scale", "linear size", 0.1, 0.5)))
    said = "p.yaml:5:16: rules[0].compress[0]: tiny cannot do scale 1, which the preset wants; give scale yourself"
    assert findings(RULE + "compress: [tiny]", registry) == [said]
    assert findings(RULE + "compress: [{tiny: {scale: 0.5}}]", registry) == []


def test_an_option_declared_with_a_keyword_that_we_do_not_know_is_the_plugins_error():
    registry = Stand(compressor("odd", options={"x": {"type": "integer", "multipleOf": 2}}))
    with pytest.raises(PluginError, match=r"the schema of rules\[0\].compress\[0\].odd.x uses multipleOf"):
        findings(RULE + "compress: [{odd: {x: 3}}]", registry)


def test_a_knob_to_step_that_a_compressor_does_not_have_is_an_error_where_it_is_named():
    searching = RULE + "search: {linear: {knob: qualty}}\n    compress: "
    said = "p.yaml:5:29: rules[0].search.linear.knob: jpeg has no knob 'qualty'; did you mean 'quality'?"
    assert [line.partition(" known:")[0] for line in findings(searching + "[jpeg]", registry())] == [said]
    assert findings(searching + "[{jpg: {}}]", registry())[0].startswith("p.yaml:6:17: rules[0].compress[0]: unknown")
    assert len(findings(searching + "[{jpg: {}}]", registry())) == 1
    assert findings(searching.replace("qualty", "quality") + "[jpeg, webp, repack]", registry()) == []


@pytest.mark.parametrize("place", [".git", "../.git/x", "a/.Git", "/srv/.git/x"])
def test_originals_are_not_kept_among_gits_own_files(place):
    (finding,) = findings(f"version: 1\noriginals: {place}")
    assert "not within .git" in finding


@pytest.mark.parametrize("place", [".gitkept", "a.git/x", ".git/../kept", ".semcompress/originals", "git", "none"])
def test_originals_may_lie_anywhere_else(place):
    assert findings(f"version: 1\noriginals: {place}") == []


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        ({"type": "string", "pattern": "^[a-z]+$"}, "A1", "text that matches ^[a-z]+$, got the text 'A1'"),
        ({"type": "string", "minLength": 3}, "ab", "text of at least 3 characters, got the text 'ab'"),
        ({"type": "string", "minLength": 1}, "''", "text of at least 1 character, got the text ''"),
        ({"type": "string", "maxLength": 3}, "abcd", "text of at most 3 characters, got the text 'abcd'"),
        ({"type": "string", "minLength": 2, "maxLength": 3}, "a", "text of 2 to 3 characters, got the text 'a'"),
        ({"type": "string", "minLength": 2}, "[a]", "text of at least 2 characters, got a list"),
        ({"type": "array", "minItems": 2}, "[a]", "a list of at least 2 items, got 1"),
        ({"type": "array", "maxItems": 1}, "[a, b]", "a list of at most 1 item, got 2"),
        ({"type": "array", "minItems": 2, "maxItems": 2}, "[]", "a list of 2 items, got an empty one"),
        ({"type": "object", "minProperties": 2}, "{a: 1}", "a mapping of at least 2 keys, got 1"),
    ],
)
def test_text_and_lists_of_the_wrong_length_or_shape_are_told_what_was_expected(schema, value, said):
    registry = Stand(compressor("odd", options={"x": schema}))
    found = findings(RULE + f"compress: [{{odd: {{x: {value}}}}}]", registry)
    assert found == [f"p.yaml:5:26: rules[0].compress[0].odd.x: expected {said}"]


@pytest.mark.parametrize("use", ["", "evaluators:\n  torchvision: {weights: x.pth}\n"])
def test_a_family_of_readers_is_none_of_them(use):
    rule = "{name: a, files: [a], keep: {torchvision: {js_divergence: {max: 0.1}}}}"
    text = f"version: 1\n{use}rules: [{rule}]\n"
    with pytest.raises(PolicyError) as error:
        parse_policy(text, registry(), Path())
    (finding,) = error.value.findings
    assert "torchvision is many readers: expected the name of one, such as torchvision:MODEL" in finding
    named = text.replace("weights: x.pth", "model: resnet18, weights: x.pth")
    assert use == "" or parse_policy(named, registry(), Path()).rules
