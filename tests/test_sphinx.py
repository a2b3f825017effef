"""The Sphinx extension, in real builds by the real Sphinx."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from hosts import LOOSE, big, blocks, page

POLICY = f"version: 1\nrules:\n  - {{name: pictures, files: [_images/, _static/own/], {LOOSE}}}\n"
COLD = "; [1-9][0-9]* looks"
WARM = "; 0 looks"


class Project:
    """Two pages with a picture each and a static one, and Sphinx in their folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "_build"
        self.originals = {
            "_images/a.jpg": big(folder / "a.jpg", 1),
            "_images/b.png": big(folder / "figures/b.png", 2),
            "_static/own/c.jpg": big(folder / "static/own/c.jpg", 3),
        }
        (folder / "index.rst").write_text("Hello\n=====\n\n.. image:: a.jpg\n\n.. toctree::\n\n   more\n")
        (folder / "more.rst").write_text("More\n====\n\n.. figure:: figures/b.png\n")
        (folder / ".semcompress.yaml").write_text(POLICY)
        self.configure(blocks("sphinx", "python")[0])

    def configure(self, text: str) -> None:
        more = 'html_static_path = ["static"]\nexclude_patterns = ["_build"]\n'
        (self.folder / "conf.py").write_text(f"{text}\n{more}")

    def run(self, *arguments: str, builder: str = "html") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sphinx", "-b", builder, *arguments, ".", "_build"], cwd=self.folder, text=True,
            env=os.environ | {"NO_COLOR": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip

    def build(self, *arguments: str, builder: str = "html") -> str:
        done = self.run(*arguments, builder=builder)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def shrunk(self) -> set[str]:
        """Which pictures in the output folder are smaller than their originals; every one must open."""
        smaller = set()
        for name, original in self.originals.items():
            path = self.out / name
            with Image.open(path) as image:
                image.load()
                assert image.size == (320, 240)
            if path.read_bytes() != original:
                assert path.stat().st_size < 0.95 * len(original)
                smaller.add(name)
        return smaller

    def lose_the_cache(self) -> None:
        shutil.rmtree(os.environ["SEMCOMPRESS_CACHE"])


@pytest.fixture
def project(repository: Path) -> Project:
    return Project(repository)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("builder", ["html", "dirhtml"])
def test_a_build_shrinks_its_pictures_in_parallel_and_not_the_sources(project, builder):
    said = project.build("-j", "2", "-W", builder=builder)
    assert re.search(rf"^semcompress: 3 compressed, .* -> .*{COLD}", said, re.MULTILINE)
    assert "not safe for parallel" not in said
    assert project.shrunk() == set(project.originals)
    assert (project.folder / "a.jpg").read_bytes() == project.originals["_images/a.jpg"]
    assert (project.folder / "figures/b.png").read_bytes() == project.originals["_images/b.png"]


def test_another_build_writes_what_changed_and_looks_at_nothing_that_did_not(project):
    project.build()
    first = contents(project.out / "_images")

    said = project.build("-W")  # nothing changed; Sphinx copies static files all the same (7.3 does not)
    assert re.search(rf"(1 compressed, 2|0 compressed, 3) unchanged.*{WARM}", said)
    assert re.search("0 added, 0 changed, 0 removed", said)
    assert contents(project.out / "_images") == first

    page = project.folder / "more.rst"
    page.write_text(page.read_text() + "\nNew words.\n")  # the page above it is written again, too
    said = project.build("-W")
    assert re.search(rf"3 compressed, 0 unchanged.*{WARM}", said)
    assert contents(project.out / "_images") == first

    project.originals["_images/a.jpg"] = big(project.folder / "a.jpg", 9)
    said = project.build("-W")
    assert re.search(f"2 compressed, 1 unchanged.*{COLD}", said)
    assert project.shrunk() == set(project.originals)
    assert (project.out / "_images/b.png").read_bytes() == first["b.png"]

    said = project.build("-W", "-E", "-a")  # everything anew
    assert re.search(rf"3 compressed, 0 unchanged.*{WARM}", said)


def test_what_an_earlier_build_left_is_no_original_even_when_the_cache_is_gone(project):
    (project.folder / "static/own/c.jpg").unlink()  # static files Sphinx copies again each time
    (project.folder / ".semcompress.yaml").write_text(POLICY.replace("min: 0.95", "min: 0.99"))
    project.build()
    first = contents(project.out / "_images")
    project.lose_the_cache()
    # the looks tell: a second generation may well come out no smaller than the first
    assert re.search(rf"0 compressed, 2 unchanged.*{WARM}", project.build())
    assert contents(project.out / "_images") == first
    page = project.folder / "more.rst"
    page.write_text(page.read_text() + "\nNew words.\n")
    project.lose_the_cache()
    project.build()
    assert contents(project.out / "_images") == first


def test_another_policy_redoes_every_page_and_picture_from_the_originals(project):
    project.build()
    lossy = contents(project.out / "_images")
    (project.folder / ".semcompress.yaml").write_text(POLICY.replace("min: 0.95", "min: 0.999"))
    project.build()
    assert all(len(data) > len(lossy[name]) for name, data in contents(project.out / "_images").items())
    project.configure(blocks("sphinx", "python")[0] + "semcompress_enabled = False\n")
    project.build()
    assert project.shrunk() == set()


def test_pages_offer_what_lies_beside_also_when_nothing_is_new(project):
    (project.folder / ".semcompress.yaml").write_text(
        POLICY.replace("{name", "{outputs: {formats: [keep, webp], place: beside}, name")
    )
    project.configure(blocks("sphinx", "python")[0] + 'html_baseurl = "https://example.org/repo/"\n')
    project.build()
    for _ in range(2):
        text = (project.out / "index.html").read_text()
        assert text.count("<picture") == 1
        assert re.search(r'<picture[^>]*><source [^>]*srcset="_images/a.webp"[^>]*><img [^>]*src="_images/a.jpg"', text)
        assert (project.out / "_images/a.webp").stat().st_size < len(project.originals["_images/a.jpg"])
        project.build()


@pytest.mark.parametrize("builder", ["latex", "linkcheck", "epub", "text"])
def test_other_builders_are_left_alone(project, builder):
    (project.folder / ".semcompress.yaml").write_text("version: 1\nruls: []\n")  # nor is the policy read
    assert "semcompress" not in project.build(builder=builder)
    pictures = {**contents(project.out)}.values()
    if builder == "latex":
        assert project.originals["_images/a.jpg"] in pictures


def test_doctrees_in_the_output_folder_are_untouched(project):
    project.build()
    kept = project.out / ".doctrees/images/d.jpg"  # where Sphinx puts pictures that it fetches or converts
    original = big(kept, 4)
    (project.folder / ".semcompress.yaml").write_text(POLICY.replace("[_images/, _static/own/]", '["*.jpg"]'))
    project.build()
    assert kept.read_bytes() == original
    assert "_images/a.jpg" in project.shrunk()


def test_a_policy_of_its_own_is_named_relative_to_the_configuration(project):
    project.configure(blocks("sphinx", "python")[1])
    (policy,) = blocks("sphinx", "yaml")
    (project.folder / "pictures.yaml").write_text(policy)
    # of a picture that shows nothing much the classifier changes its mind at any quality, which preset text forbids
    project.originals["_images/a.jpg"] = big(project.folder / "a.jpg", 5)
    project.build("-W")
    assert project.shrunk() <= {"_images/a.jpg", "_images/b.png"}
    assert "_images/a.jpg" in project.shrunk()


@pytest.mark.parametrize(
    ("policy", "configuration", "said"),
    [
        ("version: 1\nruls: []\n", "", ".semcompress.yaml:2:1: unknown key 'ruls'; did you mean 'rules'?"),
        (POLICY, 'semcompress_policy = "none.yaml"', "none.yaml: cannot be read: No such file or directory"),
        (POLICY, "semcompress_policy = 3", "semcompress_policy: expected a path, got 3"),
        (POLICY, "semcompress_jobs = 0", "semcompress_jobs: expected a number of at least 1, got 0"),
        (POLICY, "semcompress_jobs = 'x'", "semcompress_jobs: expected a number of at least 1, got 'x'"),
        (POLICY, "semcompress_jobs = True", "semcompress_jobs: expected a number of at least 1, got True"),
    ],
)
def test_a_mistake_ends_the_build_before_it_begins_and_says_what_is_wrong(project, policy, configuration, said):
    (project.folder / ".semcompress.yaml").write_text(policy)
    project.configure(blocks("sphinx", "python")[0] + configuration)
    done = project.run()
    assert done.returncode == 2
    assert "Configuration error" in done.stdout
    assert said in done.stdout
    assert not (project.out / "index.html").exists()


def test_a_picture_that_fails_is_a_warning_that_can_be_an_error_or_suppressed(project):
    (project.folder / "static/own/broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    assert re.search("^WARNING: semcompress: _static/own/broken.jpg: ", project.build(), re.MULTILINE)
    assert project.shrunk() == set(project.originals)
    assert (project.out / "_static/own/broken.jpg").read_bytes() == b"\xff\xd8\xff broken"
    assert project.run("-W").returncode != 0
    project.configure(blocks("sphinx", "python")[0] + 'suppress_warnings = ["semcompress"]\n')
    project.build("-W")


def test_a_value_of_the_wrong_type_is_warned_of(project):
    project.configure(blocks("sphinx", "python")[0] + 'semcompress_enabled = "no"\n')
    done = project.run("-W")
    assert done.returncode != 0
    assert re.search("semcompress_enabled.*str.*bool", done.stdout)


def test_the_page_names_every_value():
    from semcompress_plugin.hosts import sphinx

    added = []

    class App:
        def add_config_value(self, name: str, *_: object, **__: object) -> None:
            added.append(name)

        def connect(self, *_: object, **__: object) -> None: ...

    told = sphinx.setup(App())  # type: ignore[arg-type]  # only what is asked of it
    assert told["parallel_read_safe"]
    assert told["parallel_write_safe"]
    documented = set(re.findall(r"^\| `(semcompress_\w+)` \|", page("sphinx"), re.MULTILINE))
    assert documented == set(added) - {"semcompress_asked"}
