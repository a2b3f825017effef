"""The MkDocs plugin, in real builds by the real MkDocs."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from PIL import Image

from hosts import LOOSE, big, blocks, page

POLICY = f"version: 1\nrules:\n  - {{name: pictures, files: ['img/?.*'], {LOOSE}}}\n"


class Project:
    """A small site, and MkDocs in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site"
        self.originals = {
            name: big(folder / "docs" / name, seed) for seed, name in enumerate(("img/a.jpg", "img/b.png"))
        }
        (folder / "docs" / "index.md").write_text("# Hello\n\n![a](img/a.jpg)\n")
        (folder / "docs" / "more.md").write_text("# More\n\n![b](img/b.png)\n")
        (folder / ".semcompress.yaml").write_text(POLICY)
        self.configure()

    def configure(self, plugin: dict[str, object] | None = None, **more: object) -> None:
        plugins = (
            ["search", {"semcompress": plugin}] if plugin else yaml.safe_load(blocks("mkdocs", "yaml")[0])["plugins"]
        )
        config = {"site_name": "A site", "plugins": plugins, **more}
        (self.folder / "mkdocs.yml").write_text(yaml.safe_dump(config))

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mkdocs", *(arguments or ("build",))], cwd=self.folder, text=True,
            env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip

    def shrunk(self, site: Path | None = None) -> set[str]:
        """Which pictures of the site are smaller than their originals; every one must open."""
        smaller = set()
        for name, original in self.originals.items():
            path = (site or self.site) / name
            with Image.open(path) as image:
                image.load()
                assert image.size == (320, 240)
            if path.read_bytes() != original:
                assert path.stat().st_size < 0.95 * len(original)
                smaller.add(name)
        return smaller


BOTH = {"img/a.jpg", "img/b.png"}


@pytest.fixture
def project(repository: Path) -> Project:
    return Project(repository)


def test_a_build_shrinks_the_site_and_not_the_sources_and_the_next_one_looks_at_nothing(project):
    first = project.run("build", "--strict")
    assert first.returncode == 0, first.stdout
    assert re.search(r"INFO +-  semcompress: 2 compressed, .* -> .*; [1-9]\d* looks", first.stdout)
    assert project.shrunk() == BOTH
    assert {name: (project.folder / "docs" / name).read_bytes() for name in BOTH} == project.originals
    small = (project.site / "img/a.jpg").read_bytes()

    second = project.run("build", "--strict")  # MkDocs empties the folder and copies the sources again
    assert "2 compressed" in second.stdout
    assert "; 0 looks" in second.stdout
    assert (project.site / "img/a.jpg").read_bytes() == small

    big(project.folder / "docs/img/c.jpg", 3)
    third = project.run()
    assert re.search(r"3 compressed.*; [1-9]\d* looks", third.stdout)


@pytest.mark.parametrize("where", ["build/deep/site", "../elsewhere/site"])
def test_patterns_are_relative_to_the_site_wherever_it_lies(project, where):
    project.configure(site_dir=where, use_directory_urls=False)
    project.originals["more/c.jpg"] = big(project.folder / "docs/more/c.jpg", 3)
    done = project.run()
    assert done.returncode == 0, done.stdout
    assert "2 compressed, 0 unchanged, " in done.stdout
    assert project.shrunk(project.folder / where) == BOTH


@pytest.mark.parametrize("directories", [True, False])
def test_pages_below_a_subpath_offer_what_lies_beside(project, directories):
    (project.folder / ".semcompress.yaml").write_text(
        POLICY.replace("{name", "{outputs: {formats: [keep, webp], place: beside}, name")
    )
    (project.folder / "docs/absolute.md").write_text('<img src="/repo/img/a.jpg" alt="a">\n')
    project.configure(site_url="https://me.example.org/repo/", use_directory_urls=directories)
    done = project.run("build", "--strict")
    assert done.returncode == 0, done.stdout
    assert (project.site / "img/a.webp").stat().st_size < (project.site / "img/a.jpg").stat().st_size
    for name, src in {
        "index": "img/a.jpg",
        "absolute": "/repo/img/a.jpg",
        "more": "../img/b.png" if directories else "img/b.png",
    }.items():
        page = project.site / (f"{name}/index.html" if directories and name != "index" else f"{name}.html")
        text = page.read_text()
        assert re.search(
            rf'<picture[^>]*><source [^>]*srcset="{Path(src).with_suffix(".webp")}"[^>]*><img [^>]*src="{src}"', text
        ), text


def test_serve_does_not_shrink_unless_asked(project):
    for asked in (False, True):
        project.configure({"serve": asked, "policy": ".semcompress.yaml"})
        with project_served(project) as get:
            assert (len(get("/img/a.jpg")) < len(project.originals["img/a.jpg"])) == asked


@contextmanager
def project_served(project: Project) -> Iterator[Callable[[str], bytes]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "mkdocs", "serve", "--no-livereload", "--dev-addr", f"127.0.0.1:{port}"],
        cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip

    def get(path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()

    try:
        for _ in range(600):
            assert server.poll() is None, server.stdout.read() if server.stdout else ""
            try:
                get("/")
                break
            except OSError:
                time.sleep(0.1)
        yield get
    finally:
        server.kill()
        server.communicate()


def test_enabled_may_come_from_the_environment_and_a_dirty_build_is_left_alone(project):
    text = "site_name: s\nplugins:\n  - semcompress:\n      enabled: !ENV [SHRINK, true]\n"
    (project.folder / "mkdocs.yml").write_text(text)
    assert project.run(SHRINK="false").returncode == 0
    assert project.shrunk() == set()
    assert "a dirty build is not shrunk" in project.run("build", "--dirty").stdout
    assert project.shrunk() == set()
    assert project.run().returncode == 0
    assert project.shrunk() == BOTH


def test_a_policy_of_its_own_is_named_relative_to_the_configuration(project):
    (configured,) = yaml.safe_load(blocks("mkdocs", "yaml")[1])["plugins"][1:]
    project.configure(configured["semcompress"])
    project.folder.joinpath("pictures.yaml").write_text(POLICY.replace("img/?.*", "?.png"))
    elsewhere = project.run("build", "-f", "../repository/mkdocs.yml")
    assert elsewhere.returncode == 0, elsewhere.stdout
    assert "1 compressed" in elsewhere.stdout
    assert project.shrunk() == {"img/b.png"}


def test_a_policy_that_matches_nothing_is_said(project):
    (project.folder / ".semcompress.yaml").write_text(POLICY.replace("img/", "docs/img/"))
    done = project.run()
    assert re.search(r"none of \d+ pictures matches a rule", done.stdout)
    assert project.shrunk() == set()


@pytest.mark.parametrize(
    ("policy", "options", "said"),
    [
        ("version: 1\nruls: []\n", {}, ".semcompress.yaml:2:1: unknown key 'ruls'; did you mean 'rules'?"),
        (POLICY, {"policy": "none.yaml"}, "none.yaml: cannot be read: No such file or directory"),
        (POLICY, {"jobs": 0}, "Expected a number of at least 1, got 0"),
        (POLICY, {"jobs": "many"}, "Expected type: <class 'int'> but received: <class 'str'>"),
        (POLICY, {"polcy": "a"}, "Unrecognised configuration name: polcy"),
    ],
)
def test_a_mistake_ends_the_build_before_it_begins_and_says_what_is_wrong(project, policy, options, said):
    (project.folder / ".semcompress.yaml").write_text(policy)
    project.configure({"enabled": True, **options})
    done = project.run("build", "--strict")
    assert done.returncode == 1
    assert said in done.stdout
    assert "Traceback" not in done.stdout
    assert not project.site.exists()


def test_a_picture_that_fails_is_a_warning_and_strict_fails_over_it(project):
    (project.folder / "docs/img/x.jpg").write_bytes(b"\xff\xd8\xff broken")
    done = project.run()
    assert done.returncode == 0
    assert re.search(r"WARNING +-  semcompress: img/x.jpg: ", done.stdout)
    assert project.shrunk() == BOTH
    assert (project.site / "img/x.jpg").read_bytes() == b"\xff\xd8\xff broken"
    strict = project.run("build", "--strict")
    assert strict.returncode == 1
    assert "Aborted with 1 warnings in strict mode!" in strict.stdout


def test_the_page_names_every_option():
    from semcompress_plugin.hosts.mkdocs import Options

    (table,) = re.findall(r"\| option \|.*?\n\n", page("mkdocs"), re.DOTALL)
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {name for name, _ in Options._schema}


def test_mkdocs_is_loaded_by_mkdocs_only():
    code = "import sys, semcompress_plugin.derive; sys.exit(bool({'mkdocs', 'sphinx'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
