"""The plugin board: the same door for everybody, and errors that name who is at fault."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
import types
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path

import pytest

from semcompress_plugin import CompressorSpec, EvaluatorSpec, Knob, Metric, hookimpl, hookspecs
from semcompress_plugin.cli import main
from semcompress_plugin.errors import PluginError, PolicyError
from semcompress_plugin.plugins import BUILT_INS, Plugins, Provider
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.registry import Registry
from semcompress_plugin.types import Result

GREY = Metric("difference", "change of the mean grey", higher_is_better=False)


def evaluator(name: str, factory: object = "nowhere:Nothing", extra: str | None = None) -> EvaluatorSpec:
    return EvaluatorSpec(name, "1", "a test", metrics=(GREY,), factory=factory, extra=extra)  # type: ignore[arg-type]


def board(*specs: EvaluatorSpec) -> Plugins:
    class Plugin:
        @hookimpl
        def semcompress_evaluators(self) -> tuple[EvaluatorSpec, ...]:
            return specs

    plugins = Plugins(found=[])
    plugins.register(Plugin(), "third-party")
    return plugins


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a real distribution (metadata, entry point, module) on sys.path."""

    def install(module: str, code: str, name: str = "stranger", version: str = "2.5") -> list[EntryPoint]:
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[semcompress]\n{module} = {module}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        return list(entry_points(group="semcompress"))

    return install


def test_built_ins_come_through_the_same_hooks_as_strangers():
    plugins = Plugins(found=[])
    names = {plugin.__name__ for plugin in plugins.manager.get_plugins()}
    assert names == set(BUILT_INS)
    registry = Registry(plugins)
    assert {"jpeg", "webp", "avif", "png"} <= set(registry.compressors)
    assert {"classifier", "msssim"} <= set(registry.evaluators)


def test_an_installed_distribution_is_found_and_named(distribution):
    found = distribution(
        "good_plugin",
        "from semcompress_plugin import CompressorSpec, Knob, hookimpl\n"
        "@hookimpl\n"
        "def semcompress_compressors():\n"
        "    colors = Knob('colors', 'palette size', low=2, high=256, integer=True)\n"
        "    yield CompressorSpec('gif', '1', 'GIF', formats=('GIF',), knobs=(colors,), factory=dict)\n",
    )
    registry = Registry(Plugins(found))
    assert str(registry.provider(registry.compressor("gif"))) == "stranger 2.5"


@pytest.mark.parametrize(
    "code",
    ["import a_module_that_is_not_there\n", "raise SystemError('boom')\n"],
    ids=["missing import", "raises"],
)
def test_a_broken_plugin_is_a_warning_that_names_its_distribution(distribution, code):
    registry = Registry(Plugins(distribution("broken_plugin", code)))
    (broken,) = registry.broken
    assert "stranger 2.5" in str(broken)
    assert "broken_plugin" in str(broken)
    with pytest.raises(PluginError, match=r"unknown evaluator 'theirs'.*stranger 2\.5"):
        registry.evaluator("theirs")


def test_a_plugin_whose_hook_raises_is_broken_and_the_others_work(distribution):
    code = (
        "from semcompress_plugin import hookimpl\n"
        "@hookimpl\n"
        "def semcompress_evaluators():\n    raise KeyError('oops')\n"
    )
    registry = Registry(Plugins(distribution("raising_plugin", code)))
    assert "KeyError" in str(registry.broken[0])
    assert "classifier" in registry.evaluators


def test_a_plugin_that_offers_nothing_is_told_of(distribution):
    code = "def semcompress_evaluators():\n    yield from ()\n"
    registry = Registry(Plugins(distribution("forgetful_plugin", code)))
    assert "stranger 2.5 cannot be used: forgetful_plugin implements no hook (is a @hookimpl missing?)" in str(
        registry.broken[0]
    )


def test_a_misspelt_hook_is_an_error_with_the_nearest_name():
    class Plugin:
        @hookimpl
        def semcompress_evaluator(self) -> tuple[()]:
            return ()

    with pytest.raises(PluginError, match="'semcompress_evaluator'; did you mean 'semcompress_evaluators'"):
        Plugins(found=[]).register(Plugin(), "typo")


def test_a_name_of_ours_stays_ours_and_the_strangers_is_told_of():
    registry = Registry(board(evaluator("classifier"), evaluator("theirs")))
    assert registry.provider(registry.evaluator("classifier")).distribution == "semcompress-plugin"
    assert registry.evaluator("theirs").name == "theirs"
    assert [str(broken) for broken in registry.broken] == [
        f"plugin 'third-party' of third-party cannot be used: semcompress-plugin {version('semcompress-plugin')} has "
        "an evaluator called 'classifier' as well, which keeps the name: give this one another"
    ]


def test_a_name_of_ours_stays_ours_even_if_a_stranger_comes_first():
    class Early:
        @hookimpl(trylast=True)  # of the last the implementations are asked first
        def semcompress_evaluators(self) -> list[EvaluatorSpec]:
            return [evaluator("classifier")]

    plugins = Plugins(found=[])
    plugins.register(Early(), "third-party")
    registry = Registry(plugins)
    assert registry.provider(registry.evaluator("classifier")).distribution == "semcompress-plugin"
    assert len(registry.broken) == 1


def test_two_strangers_with_one_name_are_an_error_that_names_both_where_one_is_asked_for():
    class Other:
        @hookimpl
        def semcompress_evaluators(self) -> list[EvaluatorSpec]:
            return [replace(evaluator("theirs"), argument="model", options={"model": {"type": "string"}})]

    plugins = board(evaluator("theirs"), evaluator("mine"))
    plugins.register(Other(), "fourth-party")
    registry = Registry(plugins)
    assert "theirs" not in registry.evaluators
    assert registry.evaluator("mine").name == "mine"
    (broken,) = registry.broken
    assert "of fourth-party cannot be used: third-party has an evaluator called 'theirs' as well" in str(broken)
    both = r"2 evaluators are called 'theirs': one from third-party, one from fourth-party; uninstall one, or name the"
    for name in ("theirs", "theirs:resnet"):
        with pytest.raises(PluginError, match=both):
            registry.evaluator(name)
    rule = "{name: all, files: ['*'], compress: [jpeg], keep: {theirs: {difference: {max: 0.1}}}}"
    with pytest.raises(PolicyError, match=f"p.yaml:1:.*{both}"):
        parse_policy(f"{{version: 1, rules: [{rule}]}}", registry, Path(), "p.yaml")


def test_one_that_offers_a_name_twice_is_told_so():
    registry = Registry(board(evaluator("theirs"), evaluator("theirs"), evaluator("mine")))
    said = "third-party offers 'theirs' twice, and neither can be asked for"
    assert [said in str(broken) for broken in registry.broken] == [True]
    with pytest.raises(PluginError, match=f"^{said}"):
        registry.evaluator("theirs")
    assert registry.evaluator("mine").name == "mine"


def test_of_what_cannot_be_used_the_error_tells_only_what_has_the_name(distribution):
    distribution("first_plugin", "1 / 0\n", "first")
    registry = Registry(Plugins(distribution("second_plugin", "import nowhere\n", "second")))
    with pytest.raises(PluginError) as caught:
        registry.evaluator("second_plugin")
    assert "unknown evaluator 'second_plugin': plugin 'second_plugin' of second 2.5 cannot be used: " in str(
        caught.value
    )
    assert "ZeroDivisionError" not in str(caught.value)
    with pytest.raises(PluginError) as caught:
        registry.evaluator("third")
    assert (
        "or it belongs to a plugin of first 2.5, second 2.5 that cannot be used (`semcompress plugins` says why)"
        in str(caught.value)
    )


def test_entry_points_of_two_distributions_may_have_one_name():
    class Theirs:
        def __init__(self, *names: str) -> None:
            self.names = names

        @hookimpl
        def semcompress_evaluators(self) -> list[EvaluatorSpec]:
            return [evaluator(name) for name in self.names]

    plugins = Plugins(found=[])
    for distribution, names in (("one", ["a", "both"]), ("two", ["b", "both"])):
        plugins.register(Theirs(*names), "readers", Provider(distribution, "1"))
    registry = Registry(plugins)
    assert {"a", "b"} <= set(registry.evaluators)
    (broken,) = registry.broken
    assert str(broken).startswith("plugin 'readers' of two 1 cannot be used: one 1 has an evaluator called 'both'")


def test_an_unknown_name_lists_the_known_ones_and_the_nearest():
    with pytest.raises(PluginError, match=r"did you mean 'classifier'\? known: classifier, msssim"):
        Registry(Plugins(found=[])).evaluator("clasifier")


def test_what_is_not_a_spec_is_told_of_with_its_provider_and_the_others_work():
    registry = Registry(board("classifier2", evaluator("theirs")))  # type: ignore[arg-type]
    assert [str(broken) for broken in registry.broken] == [
        "plugin 'third-party' of third-party cannot be used: semcompress_evaluators must yield EvaluatorSpec, "
        "got 'classifier2'"
    ]
    assert registry.evaluator("theirs").name == "theirs"
    with pytest.raises(PluginError, match=r"unknown evaluator 'classifier2'.* a plugin of third-party that cannot be"):
        registry.evaluator("classifier2")


SOUND = """
from semcompress_plugin import EvaluatorSpec, Metric, hookimpl
@hookimpl
def semcompress_evaluators():
    yield EvaluatorSpec("sound", "1", "", (Metric("m", "", False),), "nowhere:Nothing")
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("@hookimpl\ndef semcompress_evaluator(): return []", "unknown hook 'semcompress_evaluator'; did you mean"),
        ("@hookimpl\ndef offer(): return []", "unknown hook 'offer'; known hooks: semcompress_compressors"),
        ("@hookimpl\ndef semcompress_evaluators(config): return []", "does not fit its hook: "),
        ("@hookimpl\ndef semcompress_evaluators(): return ['bad']", "must yield EvaluatorSpec, got 'bad'"),
        ("@hookimpl\ndef semcompress_evaluators(): return ['x' * 999]", f"must yield EvaluatorSpec, got '{'x' * 79}…"),
        ("@hookimpl\ndef semcompress_evaluators(): return 10**99", f"must yield specs, got 1{'0' * 79}…"),
    ],
)
def test_a_mistake_of_one_plugin_is_a_warning_and_stops_neither_commands_nor_others(
    distribution, monkeypatch, capsys, code, words
):
    distribution("a_first", SOUND.replace("sound", "before"), "a-first")
    distribution("bad_plugin", f"from semcompress_plugin import hookimpl\n{code}\n")
    distribution("z_last", SOUND, "z-last")
    monkeypatch.delenv("SEMCOMPRESS_PLUGINS", raising=False)
    for module in ("a_first", "bad_plugin", "z_last"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for command in (["plugins", "--format", "json"], ["schema"]):
        assert main(command) == 0
        told = capsys.readouterr()
        (line,) = told.err.splitlines()
        assert line.startswith("semcompress: warning: plugin 'bad_plugin' of stranger 2.5 cannot be used: ")
        assert words in line
        assert '"before"' in told.out
        assert '"sound"' in told.out


def test_two_entry_points_of_one_name_are_told_of_and_the_first_works(distribution):
    found = distribution("twice_plugin", SOUND)
    registry = Registry(Plugins([*found, *found]))
    assert registry.provider(registry.evaluator("sound")).distribution == "stranger"
    (broken,) = registry.broken
    assert "another of its entry points has this name, or one names the same module" in str(broken)


def test_a_missing_extra_is_named_with_the_command_that_installs_it():
    registry = Registry(board(evaluator("reader", "no_such_package:Reader", extra="torch")))
    with pytest.raises(PluginError, match=r"pip install 'third-party\[torch\]'"):
        registry.make_evaluator("reader")


def test_SEMCOMPRESS_PLUGINS_restricts_what_is_loaded(distribution, monkeypatch):  # noqa: N802 - the variable's name
    found = distribution("broken_plugin", "1 / 0\n")
    monkeypatch.setenv("SEMCOMPRESS_PLUGINS", "")
    assert not Plugins(found).broken
    monkeypatch.setenv("SEMCOMPRESS_PLUGINS", "broken_plugin")
    assert Plugins(found).broken
    monkeypatch.setenv("SEMCOMPRESS_PLUGINS", "absent")
    with pytest.raises(PluginError, match="absent; installed plugins: broken_plugin"):
        Plugins(found)


def test_the_example_of_every_hookspec_runs(capsys, caplog):
    hooks = [name for name in vars(hookspecs) if name.startswith("semcompress_")]
    assert len(hooks) == 3
    for name in hooks:
        code = textwrap.dedent(inspect.cleandoc(getattr(hookspecs, name).__doc__).split("Example::")[1])
        module = types.ModuleType(f"example_of_{name}")
        exec(code, vars(module))
        plugins = Plugins(found=[])
        plugins.register(module, name)
        if name != "semcompress_result":
            assert len(list(plugins.offers(name))) > len(BUILT_INS)
            continue
        with caplog.at_level("INFO", "my_package"):
            assert list(plugins.tell(Result("a.jpg", "compressed", 9, 4))) == []
        assert caplog.messages == ["a.jpg: 9 -> 4 bytes"]
    assert capsys.readouterr().out == ""


def test_listing_plugins_loads_no_heavy_module():
    code = (
        "import sys; from semcompress_plugin.registry import Registry; r = Registry();"
        "r.compressor('jpeg'); r.evaluator('classifier');"
        "print([m for m in ('numpy', 'onnxruntime', 'torch', 'PIL') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_knobs_and_specs_are_plain_data():
    spec = CompressorSpec("x", "1", "", formats=("JPEG",), knobs=(Knob("q", "", 1, 1),), factory=dict)
    assert spec.knob("q").fixed
    assert spec.knob("absent") is None
