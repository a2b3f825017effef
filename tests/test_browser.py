"""Built sites in a real browser: headless Chromium, if it is installed, over a server on the loopback interface."""

from __future__ import annotations

import base64
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pictures import encoded
from semcompress_plugin.derive import build_tree
from semcompress_plugin.images import file_of

EXAMPLE = Path(__file__).parent.parent / "examples" / "site"
PAGES = ("index.html", "evenings.html", "planner.html", "odd/layouts.html", "odd/galleries.html")
POLICY = """\
version: 1
rules:
  - name: own
    files: ["hills.avif"]
    skip: true
  - name: all
    files: ["img/"]
    compress: [{jpeg: {quality: 60}}, {webp: {quality: 60}}, {avif: {quality: 50}}]
    keep: {msssim: {score: {min: 0.3}}}
    outputs: {formats: [avif, webp, keep], place: beside}
"""
GALLERIES = """\
<!doctype html><meta charset=utf-8><link rel=icon href=data:,>
<style>
img { width: 90px; height: 70px } div { width: 640px; margin: 8px; container-type: inline-size }
.gap, .ends, .even, .back, .wrap, .column { display: flex } .gap { gap: 30px } .ends { justify-content: space-between }
.even { justify-content: space-evenly } .back { flex-flow: row-reverse wrap; gap: 12px }
.column { flex-direction: column }
.wrap { flex-wrap: wrap; gap: 5px 17px; width: 250px } .wrap img { flex: 1 }
.grid, .auto, .flow { display: grid; gap: 10px } .grid { grid-template-columns: repeat(3, 120px) }
.auto { grid-template-columns: repeat(auto-fit, minmax(100px, 1fr)) } .flow { grid-auto-flow: column }
.named { display: grid; grid-template: "a b" 80px "c c" 80px / 1fr 2fr }
.named .c { grid-area: c } .named .a { grid-area: a }
.columns { columns: 3 } .frame > .x { margin-left: 40px } .row img { margin-left: 11px }
.row img[alt] { float: right }
</style>
ROWS
<div class=frame><p class=x><img src=../img/coffee.jpg></p><a class=x href=#><img src=../img/rocket.jpg></a></div>
<figure><img src=../img/chelsea.jpg><figcaption>words</figcaption></figure>
"""
ROW = (
    "<div class={}><img class=a src=../img/coffee.jpg><img src=../img/rocket.jpg alt=x>"
    "<img class=c src=../img/chelsea.jpg></div>"
)
LAYOUTS = ("gap", "ends", "even", "back", "wrap", "column", "grid", "auto", "flow", "named", "columns", "row")
ODD = """\
<!doctype html><meta charset=utf-8><link rel=icon href=data:,>
<style>
.flex { display: flex; width: 500px; height: 90px } .flex img { flex: 1; min-width: 0; height: 100% }
.grid { display: grid; grid-template-columns: 1fr 2fr; width: 400px }
.background { width: 200px; height: 100px; background: url(../img/coffee.jpg) center / cover no-repeat }
</style>
<div class=flex><img src=../img/coffee.jpg><img src='/img/rocket.jpg' class=x ></div>
<div class=grid><img src="../img/chelsea.jpg" style="width: 100%"><p>text</p></div>
<p>inline <img src=../img/coffee.jpg height=40><img src=../img/coffee.jpg height=40> gap
<img src=../img/coffee.jpg height=40 align=left> float</p>
<pre>
  <img src=../img/coffee.jpg width=30>  x
</pre>
<table><tr><td><img src=../img/rocket.jpg width="50%"></table>
<div style="width: 50px; height: 50px; background-image: url('../img/rocket.jpg')" class=background></div>
<div class=background></div>
<img src=../img/chelsea.jpg srcset="../img/chelsea.jpg 1x, ../img/twice.jpg 2x" loading=lazy>
<img src="../img/astronaut.jpg?v=2#x" width=64 height=64>
"""
LOOK = """
const done = arguments[arguments.length - 1];
const images = [...document.images];
images.forEach(image => image.loading = "eager");
const address = text => [...text.matchAll(/url\\("([^"]+)"\\)/g)].map(match => match[1]);
const backgrounds = [...document.querySelectorAll("*")]
  .map(element => getComputedStyle(element).backgroundImage).filter(value => value.includes("url("));
const load = url => new Promise(resolve => {
  const image = new Image();
  image.onload = () => resolve([url, image.naturalWidth, image.naturalHeight]);
  image.onerror = () => resolve([url, 0, 0]);
  image.src = url;
});
const box = element => { const r = element.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; };
Promise.all(images.map(image => image.decode().catch(() => null))).then(() =>
  Promise.all(backgrounds.flatMap(address).map(load))).then(loaded => done({
    images: images.map(image => ({
      src: image.getAttribute("src"), current: image.currentSrc, complete: image.complete, box: box(image),
      size: [image.naturalWidth, image.naturalHeight], nested: image.closest("picture picture") !== null,
    })),
    boxes: [...document.querySelectorAll("body, body *:not(picture):not(source)")].map(box),
    backgrounds, loaded,
  }));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium or chromedriver is not installed (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,900",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
        "--disable-default-apps", "--disable-extensions", f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    started.set_script_timeout(60)
    try:
        yield started
    finally:
        started.quit()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".avif": "image/avif",
        ".webp": "image/webp",
    }

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Addresses of the example site with smaller pictures (so that it takes seconds), before and after a build."""
    top = tmp_path_factory.mktemp("sites")
    before, after = top / "before", top / "after"
    shutil.copytree(EXAMPLE, before)
    for path in (before / "img").iterdir():
        if path.suffix in (".jpg", ".webp", ".avif") or path.name in ("deep-field.png", "profile.png"):
            with Image.open(path) as image:
                small = image.reduce(4) if max(image.size) > 800 else image.copy()
            small.save(path, **({"quality": 92} if path.suffix != ".png" else {}))
    (before / ".semcompress.yaml").write_text(POLICY)
    # a 2x candidate must be shown nowhere else: what Chromium has in its cache already, it takes
    shutil.copy(before / "img" / "hills.jpg", before / "img" / "twice.jpg")
    (before / "odd").mkdir()
    (before / "odd" / "layouts.html").write_text(ODD)
    galleries = GALLERIES.replace("ROWS", "\n".join(map(ROW.format, LAYOUTS)))
    (before / "odd" / "galleries.html").write_text(galleries)
    report = build_tree(before, after)
    assert not report.failed
    assert report.pages is not None
    assert report.pages.rewritten == len(PAGES) + 1
    assert report.pages.left == ()
    servers = [
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
        for folder in (before, after)
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield tuple(f"http://127.0.0.1:{server.server_address[1]}/" for server in servers)  # type: ignore[misc]  # two
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def look(browser: Any, address: str) -> dict[str, Any]:
    browser.get_log("browser")
    browser.get(address)
    seen: dict[str, Any] = browser.execute_async_script(LOOK)
    assert browser.get_log("browser") == []
    return seen


@pytest.mark.parametrize("page", PAGES)
def test_every_image_of_a_rewritten_page_loads_with_its_size_and_box_as_before(browser, sites, page, tmp_path):
    before, after = (look(browser, address + page) for address in sites)
    assert len(before["images"]) == len(after["images"]) > 0
    for old, new in zip(before["images"], after["images"], strict=True):
        assert new["complete"], new
        assert new["size"] == old["size"] != [0, 0], new["src"]
        assert new["box"] == old["box"], new["src"]
        assert not new["nested"]
    assert after["boxes"] == before["boxes"], "something else of the page has moved"
    modern = [
        image for image in after["images"] if image["current"].split("?")[0].split("#")[0].endswith((".avif", ".webp"))
    ]
    photographs = [image for image in after["images"] if ".jpg" in image["src"]]
    assert len(modern) >= len(photographs) > 0 or page == "planner.html"
    assert len(before["backgrounds"]) == len(after["backgrounds"])
    assert all("image-set(" in value and ".avif" in value for value in after["backgrounds"])
    assert all(width > 0 for _, width, _ in after["loaded"])
    assert [size for _, *size in before["loaded"]] == [size for url, *size in after["loaded"] if url.endswith(".jpg")]


ALPHA = """
const done = arguments[1], image = new Image();
image.onload = () => {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  context.drawImage(image, 0, 0);
  const row = context.getImageData(0, canvas.height / 2, canvas.width, 1).data;
  done(Array.from(row).filter((_, index) => index % 4 === 3));
};
image.onerror = () => done([]);
image.src = arguments[0];
"""


def test_chromium_stretches_the_alpha_of_avif_and_of_nothing_else(browser):
    """Once this fails Chromium is mended, and soft transparency may be AVIF again: images.shown_otherwise."""
    levels = range(256)
    image = Image.new("RGBA", (256, 16))
    image.putalpha(Image.frombytes("L", (256, 1), bytes(levels)).resize(image.size))
    for format in ("png", "webp", "avif"):
        data = encoded(image, format, **({"lossless": True} if format == "webp" else {"quality": 100}))
        assert file_of(data).getchannel("A").tobytes()[:256] == bytes(levels)
        browser.get("about:blank")
        address = f"data:image/{format};base64,{base64.b64encode(data).decode()}"
        shown = browser.execute_async_script(ALPHA, address)
        wanted = [min(max(round((a - 16) * 255 / 219), 0), 255) if format == "avif" else a for a in levels]
        assert len(shown) == 256
        assert all(abs(one - other) <= 1 for one, other in zip(shown, wanted, strict=True)), (format, shown)
