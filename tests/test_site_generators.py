"""Hugo, Jekyll, Eleventy and Astro: real builds of small sites, with the configurations that the documentation shows.

Those from npm are installed once for all tests, and run by `just hosts` only.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import filelock
import pytest

from hosts import LOOSE, ROOT, big, blocks, program

POLICY = f"version: 1\nrules:\n  - {{name: pictures, files: ['*.jpg', '*.png'], {LOOSE}}}\n"
HOOKS = ROOT / "hooks"
NPM = {"eleventy-2": "@11ty/eleventy@2", "eleventy-3": "@11ty/eleventy@3", "astro": "astro@5"}


class Project:
    """A site's sources with one picture, in a folder of its own, and a ``semcompress`` on the PATH."""

    def __init__(self, folder: Path, sources: str, picture: str, site: str) -> None:
        self.folder, self.picture = folder, folder / site / picture
        self.original = big(folder / sources / picture)
        (folder / ".semcompress.yaml").write_text(POLICY)
        self.called = program(folder / "bin").with_name("called")
        self.path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def run(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("npm_")}
        return subprocess.run(
            command, cwd=self.folder, env=environment | {"PATH": self.path} | variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def is_shrunk(self) -> bool:
        data = self.picture.read_bytes()
        assert data == self.original or len(data) < 0.95 * len(self.original)
        return data != self.original

    def without_semcompress(self) -> None:
        (self.folder / "bin" / "semcompress").unlink()
        kept = (part for part in self.path.split(os.pathsep) if not Path(part, "semcompress").exists())
        self.path = os.pathsep.join(kept)

    def break_the_policy(self) -> None:
        (self.folder / ".semcompress.yaml").write_text("version: 1\nruls: []\n")

    def break_a_picture(self) -> None:
        source = next(path for path in self.folder.rglob(self.picture.name) if path != self.picture)
        source.with_name("broken.jpg").write_bytes(b"\xff\xd8\xff broken")


def needs(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


# Hugo


@pytest.fixture
def hugo(repository: Path) -> Project:
    needs("hugo")
    project = Project(repository, "static", "img/a.jpg", "public")
    (repository / "config.toml").write_text('baseURL = "https://example.org/"\ntitle = "A site"\n')
    (repository / "layouts").mkdir()
    (repository / "layouts/index.html").write_text('<!DOCTYPE html><title>A</title><img src="/img/a.jpg" alt="">\n')
    return project


def test_hugo_and_the_two_lines_of_its_page(hugo):
    (lines,) = blocks("hugo", "sh")
    done = hugo.run("sh", "-e", "-c", lines)
    assert done.returncode == 0, done.stdout
    assert hugo.is_shrunk()
    small = hugo.picture.read_bytes()
    again = hugo.run("sh", "-e", "-c", lines)
    assert "; 0 looks" not in done.stdout
    assert "; 0 looks" in again.stdout or " 0 looks" in again.stdout
    assert hugo.picture.read_bytes() == small


def test_hugos_script_builds_into_a_folder_hands_options_on_and_says_what_is_wrong(hugo):
    done = hugo.run(HOOKS / "hugo/build", "public", "--minify")
    assert done.returncode == 0, done.stdout
    assert hugo.is_shrunk()
    assert "<!doctype html><title>A</title>" in (hugo.folder / "public/index.html").read_text()
    hugo.break_the_policy()
    done = hugo.run(HOOKS / "hugo/build")
    assert done.returncode == 2
    assert ".semcompress.yaml:2:1: unknown key 'ruls'" in done.stdout
    hugo.without_semcompress()
    shutil.rmtree(hugo.folder / "public")
    done = hugo.run(HOOKS / "hugo/build")
    assert (done.returncode, done.stdout) == (2, "semcompress: semcompress was not found; install it\n")
    assert not (hugo.folder / "public").exists()


# Jekyll


@pytest.fixture
def jekyll(repository: Path) -> Project:
    needs("jekyll")
    project = Project(repository, "", "img/a.jpg", "_site")
    (repository / "index.md").write_text("---\ntitle: A\n---\n![a](/img/a.jpg)\n")
    (repository / "_plugins").mkdir()
    shutil.copy(HOOKS / "jekyll/semcompress.rb", repository / "_plugins")
    (repository / "_config.yml").write_text("exclude: [bin]\n" + blocks("jekyll", "yaml")[0])
    return project


def test_jekyll_shrinks_its_site_and_the_second_build_looks_at_nothing(jekyll):
    config = jekyll.folder / "_config.yml"
    config.write_text(config.read_text().replace("args: [--quiet]", "args: [--format, json]"))
    done = jekyll.run("jekyll", "build")
    assert done.returncode == 0, done.stdout
    assert jekyll.is_shrunk()
    assert (jekyll.folder / "img/a.jpg").read_bytes() == jekyll.original
    again = jekyll.run("jekyll", "build")
    assert again.returncode == 0, again.stdout
    assert re.search(r'"compressed": 1,.*"looks": 0,', again.stdout, re.DOTALL)
    assert jekyll.is_shrunk()


def test_jekyll_is_told_what_is_wrong(jekyll):
    jekyll.break_a_picture()
    done = jekyll.run("jekyll", "build")
    assert done.returncode == 0, done.stdout
    assert "semcompress: img/broken.jpg: " in done.stdout
    assert "some pictures failed" in done.stdout
    assert jekyll.is_shrunk()

    jekyll.break_the_policy()
    done = jekyll.run("jekyll", "build")
    assert done.returncode != 0
    assert ".semcompress.yaml:2:1: unknown key 'ruls'" in done.stdout
    assert "semcompress: ended with 2" in done.stdout

    jekyll.without_semcompress()
    done = jekyll.run("jekyll", "build")
    assert done.returncode != 0
    assert "semcompress: semcompress was not found; install it" in done.stdout


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ("{comand: a}", "unknown option comand; known: args, command, serve"),
        ("yes", "expected options such as {serve: true}, got true"),
        ("no", "expected options such as {serve: true}, got false"),
        ("{args: --quiet}", 'args: expected a list such as [--quiet], got "--quiet"'),
        ("{command: [a, b]}", 'command: expected a program, got ["a", "b"]'),
    ],
)
def test_jekyll_is_told_what_its_configuration_should_be(jekyll, configuration, said):
    (jekyll.folder / "_config.yml").write_text(f"semcompress: {configuration}\n")
    done = jekyll.run("jekyll", "build")
    assert done.returncode != 0
    assert f"semcompress: {said}" in done.stdout
    assert "undefined method" not in done.stdout
    assert not jekyll.is_shrunk()


# From npm


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with ``node_modules`` for each host, kept between runs where ``SEMCOMPRESS_TEST_HOSTS`` says so."""
    npm = needs("npm")
    kept = os.environ.get("SEMCOMPRESS_TEST_HOSTS")
    base = Path(kept) if kept else tmp_path_factory.mktemp("npm")
    base.mkdir(parents=True, exist_ok=True)
    folders = {}
    with filelock.FileLock(base / "lock"):
        for name, package in NPM.items():
            folders[name] = base / name
            if not (folders[name] / "ready").exists():
                _install(npm, folders[name], package)
    return folders


def _install(npm: str, folder: Path, package: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text("{}")
    hook = HOOKS / folder.name.partition("-")[0]
    # --install-links: as from a registry, rather than a link into this checkout
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--install-links", package, str(hook)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        ping = subprocess.run([npm, "view", package, "version"], capture_output=True, check=False)
        if ping.returncode:
            pytest.skip("no npm registry can be reached")
        pytest.fail(f"npm cannot install {package}:\n{done.stdout}\n{done.stderr}")
    (folder / "ready").touch()


def _use(project: Project, modules: Path) -> Project:
    (project.folder / "node_modules").symlink_to(modules / "node_modules")
    shutil.copy(modules / "package.json", project.folder)
    return project


@pytest.fixture(params=["eleventy-2 cjs", "eleventy-3 cjs", "eleventy-3 mjs"])
def eleventy(request: pytest.FixtureRequest, repository: Path, installed: dict[str, Path]) -> Project:
    version, extension = request.param.split()
    project = _use(Project(repository, "", "img/a.jpg", "_site"), installed[version])
    (block,) = (text for text in blocks("eleventy", "js") if ("require" in text) == (extension == "cjs"))
    (repository / f"eleventy.config.{extension}").write_text(block)
    (repository / "index.md").write_text("![a](/img/a.jpg)\n")
    (repository / ".eleventyignore").write_text("bin\n")
    return project


def _configure(project: Project, options: dict[str, object]) -> None:
    (config,) = project.folder.glob("eleventy.config.*")
    config.write_text(config.read_text().replace("(semcompress)", f"(semcompress, {json.dumps(options)})"))


@pytest.mark.hosts
def test_eleventy_shrinks_its_site_and_the_second_build_looks_at_nothing(eleventy):
    done = eleventy.run("npx", "eleventy")
    assert done.returncode == 0, done.stdout
    assert eleventy.is_shrunk()
    assert (eleventy.folder / "img/a.jpg").read_bytes() == eleventy.original
    again = eleventy.run("npx", "eleventy")
    assert again.returncode == 0, again.stdout
    assert " 0 looks" in again.stdout
    assert eleventy.is_shrunk()
    eleventy.called.unlink()
    assert eleventy.run("npx", "eleventy", "--to=json").returncode == 0
    assert not eleventy.called.exists()


@pytest.mark.hosts
def test_eleventy_is_told_what_is_wrong(eleventy):
    eleventy.break_a_picture()
    done = eleventy.run("npx", "eleventy")
    assert done.returncode == 0, done.stdout
    assert "img/broken.jpg: " in done.stdout
    assert "[semcompress] some pictures failed" in done.stdout
    assert eleventy.is_shrunk()

    eleventy.break_the_policy()
    done = eleventy.run("npx", "eleventy")
    assert done.returncode != 0
    assert ".semcompress.yaml:2:1: unknown key 'ruls'" in done.stdout

    eleventy.without_semcompress()
    done = eleventy.run("npx", "eleventy")
    assert done.returncode != 0
    assert "semcompress was not found; install it, or say where it is" in done.stdout


@pytest.mark.hosts
def test_eleventys_watching_is_left_alone_unless_asked(eleventy):
    for asked in (False, True):
        if asked:
            _configure(eleventy, {"serve": True, "args": ["--jobs", "1"]})
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                ["node_modules/.bin/eleventy", "--watch"], cwd=eleventy.folder, timeout=60 if asked else 15,
                env=os.environ | {"PATH": eleventy.path}, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            )  # fmt: skip
        assert eleventy.picture.exists()
        assert eleventy.is_shrunk() == asked
    assert "--jobs 1\n" in eleventy.called.read_text()


@pytest.fixture
def astro(repository: Path, installed: dict[str, Path]) -> Project:
    project = _use(Project(repository, "public", "img/a.jpg", "dist"), installed["astro"])
    (config,) = blocks("astro", "js")
    (repository / "astro.config.mjs").write_text(config)
    (repository / "src/pages").mkdir(parents=True)
    (repository / "src/pages/index.astro").write_text('<html lang="en"><img src="/img/a.jpg" alt="a"></html>\n')
    return project


@pytest.mark.hosts
def test_astro_shrinks_its_site_and_says_what_is_wrong(astro):
    build = ("npx", "astro", "build")
    done = astro.run(*build, ASTRO_TELEMETRY_DISABLED="1")
    assert done.returncode == 0, done.stdout
    assert astro.is_shrunk()
    assert (astro.folder / "public/img/a.jpg").read_bytes() == astro.original
    astro.break_a_picture()
    again = astro.run(*build, ASTRO_TELEMETRY_DISABLED="1")
    assert again.returncode == 0, again.stdout
    assert " 0 looks" in again.stdout
    assert "some pictures failed" in again.stdout
    assert astro.is_shrunk()
    astro.break_the_policy()
    done = astro.run(*build, ASTRO_TELEMETRY_DISABLED="1")
    assert done.returncode != 0
    assert ".semcompress.yaml:2:1: unknown key 'ruls'" in done.stdout
    astro.without_semcompress()
    done = astro.run(*build, ASTRO_TELEMETRY_DISABLED="1")
    assert done.returncode != 0
    assert "semcompress was not found; install it, or say where it is" in done.stdout
