"""The plugin board: the same door for everybody, and errors that name who is at fault."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
import types
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from semcompress_plugin import CompressorSpec, EvaluatorSpec, Knob, Metric, hookimpl, hookspecs
from semcompress_plugin.errors import PluginError
from semcompress_plugin.plugins import BUILT_INS, Plugins
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


def test_two_plugins_with_one_name_are_an_error_that_names_both():
    with pytest.raises(PluginError, match=r"'classifier': one from semcompress-plugin .*, one from third-party"):
        Registry(board(evaluator("classifier")))


def test_an_unknown_name_lists_the_known_ones_and_the_nearest():
    with pytest.raises(PluginError, match=r"did you mean 'classifier'\? known: classifier, msssim"):
        Registry(Plugins(found=[])).evaluator("clasifier")


def test_what_is_not_a_spec_is_an_error_that_names_its_provider():
    with pytest.raises(PluginError, match="third-party must yield EvaluatorSpec"):
        Registry(board("classifier2"))  # type: ignore[arg-type]


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
