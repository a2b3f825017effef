"""No pickle, no network, no shell, no code from a policy: what the package imports and calls, by its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import semcompress_plugin

PACKAGE = Path(semcompress_plugin.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

FORBIDDEN_MODULES = {
    "pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "multiprocessing", "code", "codeop",
    "socket", "ssl", "urllib", "http", "ftplib", "smtplib", "requests", "httpx", "aiohttp", "urllib3", "xmlrpc", "pty",
}  # fmt: skip
"""Modules that run what they read, or talk to other machines."""
ALLOWED = {
    # what its download raises; torchvision downloads, and only when `weights fetch` asks
    ("evaluators/_torchvision.py", "urllib"): "weights fetch",
    # only to ask what this machine is called, for a build's records
    ("scale/desk.py", "socket"): "gethostname",
}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
}
LOADS_ARRAYS = {"np.load", "numpy.load"}
LOADS_WEIGHTS = {"torch.load"}


def parsed() -> Iterator[tuple[str, ast.Module]]:
    for path in SOURCES:
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def faults(name: str, tree: ast.Module) -> Iterator[str]:
    """What a module does that it must not, each in one line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""] + [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            modules = []
        for module in {module.split(".")[0] for module in modules} & FORBIDDEN_MODULES:
            if (name, module) not in ALLOWED and not _only_parses(modules):
                yield f"{name}:{node.lineno}: imports {module}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        if called in FORBIDDEN_CALLS:
            yield f"{name}:{node.lineno}: calls {called}"
        if "shell" in keywords and not _is(keywords["shell"], False):
            yield f"{name}:{node.lineno}: starts a shell"
        if called in LOADS_ARRAYS and not _is(keywords.get("allow_pickle"), False):
            yield f"{name}:{node.lineno}: {called} without allow_pickle=False"
        if called in LOADS_WEIGHTS and not _is(keywords.get("weights_only"), True):
            yield f"{name}:{node.lineno}: {called} without weights_only=True"


def _only_parses(modules: list[str]) -> bool:
    """``urllib.parse`` cuts addresses up, and talks to nobody."""
    return all(module.split(".")[:2] == ["urllib", "parse"] for module in modules if module != "urllib")


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_nothing_in_the_package_unpickles_evaluates_starts_a_shell_or_talks_to_the_network():
    found = [fault for name, tree in parsed() for fault in faults(name, tree)]
    assert found == []
    assert len(SOURCES) > 50


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from multiprocessing import Pool",
        "import urllib.request",
        "from urllib import request",
        "import os.path, socket",
        "eval('1')",
        "import os\nos.system('ls')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import subprocess\nsubprocess.run('ls', shell=maybe)",
        "import numpy as np\nnp.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import torch\ntorch.load('x')",
        "import yaml\nyaml.load('x')",
    ],
)
def test_the_search_finds_what_it_looks_for(line):
    assert list(faults("some.py", ast.parse(line)))


def test_what_is_allowed_is_still_needed_and_addresses_may_be_cut_up():
    assert not list(faults("some.py", ast.parse("from urllib.parse import urlsplit")))
    used = {(name, module) for name, tree in parsed() for module in FORBIDDEN_MODULES if _imports(tree, module)}
    assert set(ALLOWED) <= used


def _imports(tree: ast.Module, module: str) -> bool:
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return any(name.split(".")[0] == module for name in names)
