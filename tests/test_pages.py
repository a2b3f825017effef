"""Pages are rewritten in the places that name a picture with something beside it, and nowhere else."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semcompress_plugin.errors import UsageError
from semcompress_plugin.pages import Catalogue, Picture, Site, css, encoding, html, names, picture, srcset, tags
from semcompress_plugin.pages.site import Desk, ElsewhereError

OPEN = '<picture style="display: contents">'
SOURCE = '<source style="display: none"'
AVIF = f'{SOURCE} type="image/avif" srcset="a.avif">'
WEBP = f'{SOURCE} type="image/webp" srcset="a.webp">'
BOTH = OPEN + AVIF + WEBP


def beside(path: str, bytes: int = 100, **sizes: int) -> Picture:
    stem = path.rsplit(".", 1)[0]
    found = picture(path, bytes, [(f"{stem}.{suffix}", size) for suffix, size in sizes.items()])
    assert found is not None
    return found


def catalogue(*pictures: Picture, url: str = "", **more: object) -> Catalogue:
    known = pictures or (
        beside("a.jpg", avif=50, webp=60),
        beside("b.png", webp=60),
        beside("deep/c.jpg", avif=50, webp=60),
        beside("my photo.jpg", avif=50),
        beside("é,.jpg", avif=50),
        beside("large.jpg", avif=100, webp=99),
    )
    return Catalogue(Site(url), {one.path: one for one in known}, lambda path: path == "other.jpg", **more)


def page(text: str, path: str = "index.html", known: Catalogue | None = None) -> html.Page:
    return html.rewrite(text, path, known or catalogue())


def sheet(text: str, path: str = "style.css", **more: object) -> str:
    known = catalogue()
    return css.rewrite(text, Desk(known, path, known.site.url(path)), **more).text


@pytest.mark.parametrize(
    "tag",
    [
        "<img src=a.jpg>",
        "<IMG SRC='a.jpg'>",
        '<img\n  alt="x > y"\n\tsrc = "a.jpg"\r\n>',
        "<img src=a.jpg src=b.png alt>",
        '<img id=i class="c d" width=10 height=20 loading=lazy src="a.jpg" onclick=\'f("a.jpg")\'>',
        "<img alt='&lt;&amp;&copy=1' src=&#97;.jpg>",
        "<img src=a.jpg decoding=async fetchpriority=high crossorigin data-id=1>",
    ],
)
def test_an_img_with_any_spelling_of_attributes_stays_as_it_is_within_a_picture(tag):
    text = f"<p>before{tag}\n after"
    assert page(text).text == f"<p>before{BOTH}{tag}</picture>\n after"


def test_a_self_closing_img_has_self_closing_sources():
    new = page("<p><img src='a.jpg' /></p>").text
    assert new == (
        f'<p>{OPEN}{SOURCE} type="image/avif" srcset="a.avif" />'
        f'{SOURCE} type="image/webp" srcset="a.webp" /><img src=\'a.jpg\' /></picture></p>'
    )


@pytest.mark.parametrize(
    "text",
    [
        "<script>document.write('<img src=a.jpg>')</script>",
        "<template><img src=a.jpg></template>",
        "<noscript><img src=a.jpg></noscript>",
        "<!-- <img src=a.jpg> -->",
        "<!--[if lt IE 9]><img src=a.jpg><![endif]-->",
        "<textarea><img src=a.jpg></textarea><title><img src=a.jpg></title>",
        "<svg><image href=a.jpg /></svg>",
        "<svg><img src=a.jpg></svg>",
        "<svg><style>a{background:url(a.jpg)}</style></svg>",
        "<picture><source srcset=x.webp><img src=a.jpg></picture>",
        "<picture><span><img src=a.jpg></span></picture>",
        "<image src=a.jpg>",
        "<img src=placeholder.gif data-src=a.jpg>",
        "<img src=a.jpg data-lazy-src=b.png>",
        "<img src=a.jpg data-srcset='b.png 2x'>",
        "<img alt=none>",
        "<img src=''>",
        "<img src=data:image/png;base64,AAAA>",
        "<img src=large.jpg srcset='other.jpg 2x'>",
        "<a href=a.jpg>a</a><video poster=a.jpg></video><meta property=og:image content=a.jpg>",
        "plain text with url(a.jpg) and <img src=a.jpg",
        "<img src=a.jpg/>",
    ],
)
def test_what_is_no_img_of_the_page_or_has_alternatives_already_is_left_as_it_is(text):
    assert page(text).text == text


@pytest.mark.parametrize(
    ("context", "inner"),
    [
        ("<pre> {} </pre>", "<img src=a.jpg>"),
        ("<table><tr><td>{}</table>", "<img src=a.jpg>"),
        ("<table>{}<tr></table>", "<img src=a.jpg>"),
        ("<p><b>{}<p>{}", "<img src=a.jpg>"),
        ("<ul><li>{}<li>{}</ul>", "<img src=a.jpg>"),
        ("<svg><foreignObject>{}</foreignObject></svg>", "<img src=a.jpg>"),
        ("<a><img src=other.jpg>{}{}</a>", "<img src=a.jpg>"),
        ("<!doctype html>\r\n<title>x</title>{}", "<img src=a.jpg>"),
    ],
)
def test_wherever_an_img_stands_the_rest_of_the_tree_stays(context, inner):
    new = page(context.replace("{}", inner))
    assert new.text == context.replace("{}", f"{BOTH}{inner}</picture>")
    assert new.pictures == context.count("{}")


def test_a_srcset_is_offered_in_a_format_only_if_every_candidate_can_be_had_in_it():
    known = catalogue(beside("s.jpg", avif=10, webp=20), beside("m.jpg", avif=30, webp=20), beside("l.jpg", webp=90))
    tag = '<img src="m.jpg" srcset="s.jpg 500w, l.jpg 2000w" sizes="(max-width: 9px) 1px, 2px">'
    assert page(tag, known=known).text == (
        f'{OPEN}{SOURCE} type="image/webp" srcset="s.webp 500w, l.webp 2000w" sizes="(max-width: 9px) 1px, 2px">'
        f"{tag}</picture>"
    )
    tag = '<img src="m.jpg" srcset="s.jpg 500w, gone.jpg 2000w">'
    new = page(tag, known=known)
    assert new.text == tag
    assert [(left.reference, left.reason) for left in new.left] == [("gone.jpg", "leads to no file")]


def test_with_densities_src_is_a_candidate_unless_density_1_is_there():
    known = catalogue(beside("s.jpg", avif=10), beside("m.jpg", avif=30))
    assert 'srcset="m.avif 2x, s.avif"' in page('<img src=s.jpg srcset="m.jpg 2x">', known=known).text
    assert 'srcset="s.avif 1x, m.avif 2x"' in page('<img src=m.jpg srcset="s.jpg 1x, m.jpg 2x">', known=known).text


def test_sources_come_smallest_first_and_only_if_smaller_than_the_picture():
    known = catalogue(beside("a.jpg", 100, avif=60, webp=50), beside("b.jpg", 100, avif=101, webp=99))
    new = page("<img src=a.jpg><img src=b.jpg>", known=known).text
    assert re.findall("type=.(.*?). srcset=.(.*?).>", new) == [
        ("image/webp", "a.webp"), ("image/avif", "a.avif"), ("image/webp", "b.webp"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "offered"),
    [
        ("a.jpg?v=3&amp;w=1", "a.avif?v=3&amp;w=1"),
        ("a.jpg#top", "a.avif#top"),
        ("./a.jpg", "./a.avif"),
        ("/a.jpg", "/a.avif"),
        ("deep/../a.jpg", "deep/../a.avif"),
        (" a.jpg\n", "a.avif"),
        ("my%20photo.jpg", "my%20photo.avif"),
        ("my photo.jpg", "my%20photo.avif"),
        ("%C3%A9,.jpg", "%C3%A9,.avif"),
        ("é,.jpg", "é,.avif"),
        ("a%2ejpg", "a.avif"),
        (r"deep\..\a.jpg?\#\a", r"deep\..\a.avif?\#\a"),
        (r"\a%2ejpg", r"\a.avif"),
    ],
)
def test_references_are_spelt_as_the_page_spells_them(reference, offered):
    assert f'{SOURCE} type="image/avif" srcset="{offered}">' in page(f'<img src="{reference}">').text


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("gone.jpg", "leads to no file"),
        ("https://example.org/a.jpg", "is external"),
        ("//example.org/a.jpg", "is external"),
        ("//[/a.jpg", "is no address"),
        (r"\\example.org/a.jpg", "is external"),
        ("%5Ca.jpg", "leads to no file"),
        ("%2e%2e/a.jpg", "leads to no file"),
        ("x/%2e%2e/%2e%2e/a.jpg", "leaves the site"),
        ("A.JPG", "leads to no file"),
    ],
)
def test_references_that_lead_nowhere_or_elsewhere_are_left_and_listed(reference, reason):
    new = page(f'<img src="{reference}">')
    assert new.text == f'<img src="{reference}">'
    assert [(left.page, left.reference) for left in new.left][:1] == [("index.html", reference)]
    assert new.left[0].reason in (reason, "leaves the site")


def test_references_are_relative_to_the_page_or_to_its_base():
    assert 'srcset="c.avif"' in page("<img src=c.jpg>", "deep/page.html").text
    assert 'srcset="../a.avif"' in page("<img src=../a.jpg>", "deep/page.html").text
    assert 'srcset="c.avif"' in page("<base href=/deep/><img src=c.jpg>", "x/y/page.html").text
    assert 'srcset="c.avif"' in page("<base href=deep\\><img src=c.jpg>").text
    assert 'srcset="c.avif"' in page("<base href=deep/><base href=/no/><img src=c.jpg>").text
    external = "<base href=https://example.org/><img src=a.jpg>"
    assert page(external).text == external


def test_a_site_may_be_published_at_an_address_or_below_a_prefix():
    for url in ("/repo/", "/repo", "https://me.example.org/repo/"):
        known = catalogue(url=url)
        assert 'srcset="/repo/a.avif"' in page("<img src=/repo/a.jpg>", known=known).text
        new = page("<img src=/a.jpg>", known=known)
        assert new.left[0].reason == "lies outside /repo/, where the site is"
    whole = page("<img src=https://me.example.org/repo/a.jpg>", known=known).text
    assert 'srcset="https://me.example.org/repo/a.avif"' in whole
    for wrong in ("repo", "ftp://example.org/", "https:///x", "http://["):
        with pytest.raises(UsageError, match="address"):
            Site(wrong)


def test_a_preloaded_picture_stays_what_is_shown():
    text = (
        "<link rel='x preload' as=image href=a.jpg imagesrcset='b.png 2x'><link rel=stylesheet href=s.css integrity=x>"
    )
    known = catalogue()
    links = html.links(text, "index.html", known)
    assert links == html.Links(frozenset({"s.css"}), frozenset({"a.jpg", "b.png"}))
    known.preloaded = links.preloaded
    assert page("<img src=a.jpg>", known=known).text == "<img src=a.jpg>"


@pytest.mark.parametrize(
    "text",
    [
        "<img src=a.jpg><img src=b.png>",
        "<style>p{background:url(a.jpg)}</style><p style='background: url(\"a.jpg\")'>"
        "<img src=deep/c.jpg srcset='a.jpg 2x'>",
    ],
)
def test_a_rewritten_page_is_left_as_it_is(text):
    once = page(text)
    assert once.text != text
    assert page(once.text) == html.Page(once.text)


IMG = st.sampled_from(["<img src=a.jpg>", "<img alt='>' src=\"deep/c.jpg\"/>", "<IMG\nSRC=b.png>", "<img src=no.jpg>"])
TAGS = re.findall(
    r"<\S+",
    """<p> </p> <b> </b> <a> </a> <table> <tr> <td> </table> <pre> </pre> <svg> </svg> <math> <select> <option>
    <picture> </picture> <template> </template> <script> </script> <style> </style> <!-- <textarea> </textarea> <button>
    <noscript> </noscript> <head> <body> </body> </html> <base> <frameset> <li> <ul> <form> <plaintext> <foreignObject>
    <image> <h1> <title> </title> <iframe> </iframe> <caption> <source>""",
)
PIECES = st.one_of(
    IMG,
    st.sampled_from(TAGS),
    st.sampled_from(["</p", "<img", "<", "<!", "</", "<?", "]]>", "&amp;", "\r\n", "\0", "é", "\f", " "]),
    st.text(st.characters(max_codepoint=0x2FF), max_size=5),
)


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_any_html_is_unchanged_outside_of_edits_and_a_second_time_altogether(text):
    new = page(text).text
    source = rf'{SOURCE} type="[^"]*" srcset="[^"]*"(?: /)?>'
    marked = re.sub(f"{re.escape(OPEN)}(?:{source})+", "\ue000", new)
    tag = r"<img\b(?:[^>'\"]|'[^']*'|\"[^\"]*\")*>"
    assert re.sub(f"\ue000({tag})</picture>", r"\1", marked, flags=re.IGNORECASE) == text
    assert page(new).text == new


@pytest.mark.parametrize("text", ["p{background:url(a.jpg", "p{background:url(a.jpg)", "p{background:url('a.jpg)}"])
def test_css_that_ends_too_early_is_left_alone_and_listed(text):
    reason = "has CSS that ends within a string, a block, a comment or a url(): that stays as it is"
    desk = Desk(catalogue(), "style.css", catalogue().site.url("style.css"))
    assert css.rewrite(text, desk).text == text
    assert [(one.page, one.reference, one.reason) for one in desk.left] == [("style.css", None, reason)]
    new = page(f"<style>{text}</style><img src=a.jpg>")
    assert new.text == f"<style>{text}</style>{BOTH}<img src=a.jpg></picture>"
    assert [(one.page, one.reference, one.reason) for one in new.left] == [("index.html", None, reason)]


MOVED = {"a.jpg": "a.webp", "b.png": "b.webp", "deep/c.jpg": "deep/c.webp", "é,.jpg": "é,.webp"}


def renamed(text: str, path: str = "index.html") -> names.Renamed:
    return names.rewrite(text, path, catalogue(moved=MOVED))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<img src=a.jpg>", '<img src="a.webp">'),
        ("<IMG\n SRC = 'a.jpg?v=1&amp;w=2#x' class=y >", '<IMG\n SRC = "a.webp?v=1&amp;w=2#x" class=y >'),
        ("<img srcset='a.jpg 2x,other.jpg 1x'>", '<img srcset="a.webp 2x, other.jpg 1x">'),
        (r"<img src='deep\c.jpg'>", r'<img src="deep\c.webp">'),
        ("<img src=%C3%A9,.jpg>", '<img src="%C3%A9,.webp">'),
        ("<svg><filter><feImage href='a.jpg'/><FEIMAGE xlink:href=a.jpg /></filter><image href=a.jpg></svg>",
         '<svg><filter><feImage href="a.webp"/><FEIMAGE xlink:href="a.webp" /></filter><image href="a.webp"></svg>'),
        ("<h1>İİİ</h1><style>p { mask: url(a.jpg) }</STYLE><noscript><img src=a.jpg></noscript>",
         '<h1>İİİ</h1><style>p { mask: url("a.webp") }</STYLE><noscript><img src="a.webp"></noscript>'),
        ("<Image src=a.jpg srcset='b.png 2x'>", '<Image src="a.webp" srcset="b.webp 2x">'),
        ("<picture><source type=image/jpeg srcset=a.jpg><img src=other.jpg></picture>",
         '<picture><source type="image/webp" srcset="a.webp"><img src=other.jpg></picture>'),
        ("<base href=/deep/><img src=c.jpg><img src=../a.jpg>",
         '<base href=/deep/><img src="c.webp"><img src="../a.webp">'),
        ("<b style='--x: url(a.jpg)'>", '<b style="--x: url(\'a.webp\')">'),
        ("<style>@media x { a { mask: f(url( 'a.jpg' )) } }</style>",
         '<style>@media x { a { mask: f(url("a.webp")) } }</style>'),
        ("""<iframe srcdoc="<style>b{background:url(a.jpg)}</style>"""
         """<img alt='&amp;amp;' src=&quot;deep/c.jpg&quot;>">""",
         """<iframe srcdoc="<style>b{background:url(&quot;a.webp&quot;)}</style>"""
         """<img alt='&amp;amp;' src=&quot;deep/c.webp&quot;>">"""),
        ("<iframe srcdoc='<base href=x/><img src=c.jpg>'>", "<iframe srcdoc='<base href=x/><img src=c.jpg>'>"),
        ("<object data=a.jpg type=IMAGE/JPEG></object>", '<object data="a.webp" type="image/webp"></object>'),
        ("<a href=a.jpg download=h.JPG><a href=a.jpg download><a href=a.jpg download=x.y><a href=b download=z.jpg>",
         '<a href="a.webp" download="h.webp"><a href="a.webp" download><a href="a.webp" download=x.y>'
         "<a href=b download=z.jpg>"),
        ("<meta property=og:image content=other.jpg><meta property=og:image:type content=image/jpeg>"
         "<meta property=og:image content=a.jpg> <meta property=og:image:type content=image/jpeg>",
         "<meta property=og:image content=other.jpg><meta property=og:image:type content=image/jpeg>"
         '<meta property=og:image content="a.webp"> <meta property=og:image:type content="image/webp">'),
        ("<style>p { background: IMAGE-SET('a.jpg' 1x, \"other.jpg\" type('image/jpeg')) }</style>",
         '<style>p { background: IMAGE-SET(url("a.webp") 1x, "other.jpg" type(\'image/jpeg\')) }</style>'),
        ("<i style='background: -webkit-image-set(url(a.jpg) type(\"image/jpeg\") 1x, \"b.png\" type(\"image/png\"))'>",
         "<i style=\"background: -webkit-image-set(url('a.webp') type('image/webp') 1x, "
         "url('b.webp') type('image/webp'))\">"),
    ],
)  # fmt: skip
def test_a_picture_with_another_name_is_named_so_wherever_it_can_be(before, after):
    assert renamed(before) == names.Renamed(after)
    assert renamed(after) == names.Renamed(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('é<img src="a.jpg"/>', 'é<img src="a.webp"/>'),
        ("<svg:image xlink:href = 'a.jpg?a=1&amp;b=&lt;' xmlns:svg='x'\n xmlns:xlink='y'/>",
         "<svg:image xlink:href = \"a.webp?a=1&amp;b=&lt;\" xmlns:svg='x'\n xmlns:xlink='y'/>"),
        ('<source type="image/jpeg" srcset="a.jpg 2x, other.jpg"/>',
         '<source type="image/webp" srcset="a.webp 2x, other.jpg"/>'),
        ("<IMG SRC='other.jpg' src='a.jpg'/><b style='background: url(a.jpg)' />",
         "<IMG SRC='other.jpg' src=\"a.webp\"/><b style=\"background: url('a.webp')\" />"),
        ('<base href="/deep/"/><img alt="&nbsp;>" src="c.jpg"/>',
         '<base href="/deep/"/><img alt="&nbsp;>" src="c.webp"/>'),
        ("<meta property='og:image:type' content='image/png'/>",
         "<meta property='og:image:type' content='image/png'/>"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["index.xhtml", "INDEX.XHT"])
def test_xhtml_has_the_names_in_its_attributes(name, before, after):
    around = (
        '<?xml version="1.0" encoding="latin1"?>\r\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "xhtml1">'
        "<html>\r\n<!-- <img> --><![CDATA[<img src='é.jpg'>]]>{}</html>"
    )
    assert renamed(around.format(before), name) == names.Renamed(around.format(after))
    assert renamed(around.format(after), name) == names.Renamed(around.format(after))


@pytest.mark.parametrize(
    "text",
    [
        "<p><img src='a.jpg'></p>",
        "<!DOCTYPE p [<!ENTITY a 'x'>]><p><img src='a.jpg'/>&a;</p>",
        "<p><![CDATA[<img src='a.jpg'/>]]></p>",
        "<p><style>b { background: url('a.jpg') }</style></p>",
    ],
)
def test_xhtml_that_is_none_stays_and_is_listed(text):
    assert renamed(text, "x.xhtml").text == text
    assert [one.reference for one in renamed(text, "x.xhtml").left] == ["a.jpg"]


@pytest.mark.parametrize(
    "text",
    [
        '<script>x = "a.jpg"</script>',
        '<script type=application/ld+json>{"image": ".\\/a.jpg"}</script>',
        "<!-- <img src=a.jpg> -->",
        "<p onclick=\"show('a.jpg')\">",
        "<style>p { background: url(a.jpg</style>",
    ],
)
def test_where_that_cannot_be_put_what_still_names_it_is_listed(text):
    new = renamed(text)
    assert new.text == text
    assert [(one.page, one.reference) for one in new.left] in (
        [("index.html", "a.jpg")],
        [("index.html", "./a.jpg")],
    )


@pytest.mark.parametrize(
    "selector", ['[src$=".jpg"]', "[ href $= '.JPG' i ]", "[src*=.png]", "[src=x.jpg]", '[data-x][srcset$=".jpg"]']
)
def test_selectors_by_an_extension_that_pictures_have_no_more_are_listed(selector):
    for text, path in (
        (f"a, img{selector} > b {{ color: red }}", "s.css"),
        (f"<style>{selector} {{}}</style>", "x.htm"),
    ):
        new = renamed(text, path)
        assert new.text == text
        assert [(one.reference, one.reason) for one in new.left] == [
            (selector.removeprefix("[data-x]"), "selects pictures by an extension that some have no more in the tree")
        ]
    for other in (selector.lower().replace("jpg", "gif").replace("png", "gif"), '[src$=".jpg.txt"]', '[alt=".jpg"]'):
        assert renamed(f"<style>{other} {{}}</style>").left == ()


def test_a_picture_of_the_same_name_elsewhere_is_another():
    text = '<img src=deep/a.jpg><img src=https://example.org/a.jpg><script>x = "deep/b.png"</script>'
    assert renamed(text) == names.Renamed(text)


TOPS = ["/", "./", "../", "..", "/?p=1", "/#top", "https://ex.org/", "https://ex.org", "//ex.org/?q#f"]
"""How a page in sub/ of the site https://ex.org/ may name the site's top, and what lies about it."""
NOT_MOVED = st.one_of(
    st.sampled_from([*TOPS, "", "#x", "?x", "../other.jpg", "../sub/", "a.jpg", "../a.webp", "data:,x", "http://["]),
    st.lists(st.sampled_from(["..", ".", "/", "a", "%2e", "sub", "?q", "#f", ":", "é"])).map("".join),
)
HOLDERS = [
    ("p.html", '<a href="{}">x</a>'), ("p.html", '<link rel=canonical href="{}">'), ("p.html", '<p data-home="{}">'),
    ("p.html", '<meta property=og:url content="{}">'), ("p.html", '<iframe src="{}"></iframe>'),
    ("p.html", '<object data="{}"></object>'), ("p.html", '<b style="x: url({})">'), ("p.html", '<img srcset="{} 2x">'),
    ("p.html", '<style>p {{ x: url("{}") }}</style>'), ("p.html", "<noscript><a href='{}'></a></noscript>"),
    ("p.html", "<template><a href='{}'></a></template>"), ("p.html", '<base href="{}">'),
    ("p.xhtml", "<p><a href='{}'/></p>"), ("p.xhtml", '<p data-home="{}"/>'), ("p.xhtml", '<img srcset="{} 2x"/>'),
    ("p.xhtml", '<b style="x: url({})"/>'), ("p.xhtml", "<base href='{}'/>"),
    ("p.css", 'p {{ background: url("{}") }}'), ("p.css", '@import url({});'),
]  # fmt: skip
OURS = {
    "p.html": ("{}<img src=https://ex.org/a.jpg>", '{}<img src="https://ex.org/a.webp">'),
    "p.xhtml": ('<p>{}<img src="https://ex.org/a.jpg"/></p>', '<p>{}<img src="https://ex.org/a.webp"/></p>'),
    "p.css": ("{} q {{ x: url(/a.jpg) }}", '{} q {{ x: url("/a.webp") }}'),
}


def in_sub(text: str, name: str) -> str:
    return names.rewrite(text, f"sub/{name}", catalogue(url="https://ex.org/", moved=MOVED)).text


@pytest.mark.parametrize("top", TOPS)
def test_links_to_the_sites_top_stay_where_a_picture_has_another_name(top):
    for name, holder in HOLDERS:
        before, after = OURS[name]
        assert in_sub(before.format(holder.format(top)), name) == after.format(holder.format(top))


@settings(max_examples=400)
@given(st.sampled_from(HOLDERS), NOT_MOVED, NOT_MOVED)
@example(("p.xhtml", "<base href='{}'/>"), "/", "a.jpg")  # of two bases the second says nothing
@example(("p.html", "<base href='{}'>"), "/", "a.jpg")
def test_what_does_not_lead_to_a_renamed_picture_comes_out_byte_for_byte(where, one, other):
    name, holder = where
    before, after = OURS[name]
    text = holder.format(one) + holder.format(other)
    assert in_sub(before.format(text), name) == after.format(text)


@settings(max_examples=200)
@given(st.lists(NOT_MOVED, max_size=3))
def test_in_a_srcset_each_reference_stays_but_those_to_a_renamed_picture(references):
    def read(html: str) -> list[srcset.Candidate]:
        return list(srcset.parse(next(node.attrs["srcset"] for node in tags.elements(tags.parse(html)) if node.attrs)))

    ours = srcset.Candidate("/a.jpg", "9x")
    text = '<img srcset="{}">'.format(", ".join([*(f"{one} 2x" for one in references), "/a.jpg 9x"]))
    expected = [srcset.Candidate("/a.webp", "9x") if one == ours else one for one in read(text)]
    assert read(in_sub(text, "p.html")) == expected


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_any_html_is_the_same_tree_with_other_names_in_it(text):
    def shape(html: str) -> list[tuple[str, tuple[str, ...]]]:
        return [(node.name, tuple(node.attrs)) for node in tags.elements(tags.parse(html))]

    new = renamed(text).text
    assert shape(new) == shape(text)
    assert renamed(new).text == new


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "p{background:url(a.jpg)}",
            'p{background:url(a.jpg);background:image-set(url("a.avif") type("image/avif"), '
            'url("a.webp") type("image/webp"), url("a.jpg") type("image/jpeg"))}',
        ),
        (
            "p {\r\n  Background-Image : URL( 'b.png' ) , none !important ; color: red\r\n}",
            "p {\r\n  Background-Image : URL( 'b.png' ) , none !important;\r\n  "
            'Background-Image : image-set(url("b.webp") type("image/webp"), url("b.png") type("image/png")) '
            ", none !important ; color: red\r\n}",
        ),
        (
            "@media print{/*é*/a{b{background:url(b.png) 1px}}}",
            '@media print{/*é*/a{b{background:url(b.png) 1px;background:image-set(url("b.webp") type("image/webp"), '
            'url("b.png") type("image/png")) 1px}}}',
        ),
    ],
)
def test_a_background_is_followed_by_an_image_set_with_the_rest_of_it(before, after):
    assert sheet(before) == after
    assert sheet(after) == after


@pytest.mark.parametrize(
    "text",
    [
        "@import url(a.jpg);",
        "@font-face{src:url(a.jpg)}",
        "p{cursor:url(a.jpg),auto;mask:url(a.jpg);filter:url(a.jpg);content:url(a.jpg);list-style-image:url(a.jpg)}",
        "p{background:url(a.jpg) var(--x)}",
        "p{--x:url(a.jpg);--y:{background:url(a.jpg)}}",
        "p{background:url(a.jpg);background:image-set(url(a.jpg) 1x)}",
        "p{background:url(a.jpg);background-image:-webkit-image-set(url(a.jpg) 1x)}",
        "p{background:cross-fade(url(a.jpg),red)}",
        "p{*background:url(a.jpg)}",
        "/* p{background:url(a.jpg)} */",
        "p{background:url(data:image/png;base64,AA==)}",
        "p{background:url(large.avif)}",
        "p{background:url(a.jpg)",
        "p{background:url(a.jpg",
        "p{background:url(a.jpg)} /*",
        "p{background:url('a.jpg\n')}",
        "background:url(a.jpg)",
        "p::after{content:'background:url(a.jpg)'}",
    ],
)
def test_other_css_is_left_as_it_is(text):
    assert sheet(text) == text


@pytest.mark.parametrize("text", ['background:url(a.jpg) "x', "background:url(a.jpg) (", "background:url(a.jpg) /*"])
def test_a_style_attribute_that_ends_within_something_is_left_as_it_is(text):
    assert sheet(text, declarations=True) == text


def test_style_attributes_and_elements_are_css_too():
    new = page(
        "<style>p{background:url(b.png)}</style><p style='background:url(\"b.png\")' class=x>"
        "<p style=background:url(b.png)>"
    )
    assert new.text == (
        '<style>p{background:url(b.png);background:image-set(url("b.webp") type("image/webp"), '
        'url("b.png") type("image/png"))}</style>'
        "<p style=\"background:url(&quot;b.png&quot;);background:image-set(url('b.webp') type('image/webp'), "
        "url('b.png') type('image/png'))\" class=x>"
        "<p style=\"background:url(b.png);background:image-set(url('b.webp') type('image/webp'), "
        "url('b.png') type('image/png'))\">"
    )
    assert new.backgrounds == 3


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            [
                *("p{", "}", "background:", "url(a.jpg)", "url('b.png')", ";", "@media{", "{", "/*", "*/", "(", ")"),
                *("'", "\\", "--x:", "\f", "\0", "é"),
                *("image-set(", ",", "[", "]", "url(", "\r\n", " ", '"', "!important"),
                *("<!--", "a:hover"),
            ]
        ),
        max_size=14,
    ).map("".join)
)  # fmt: skip
@example("url(a.jpg)p{}")
def test_any_css_only_gains_declarations_and_none_a_second_time(text):
    new = sheet(text)
    assert sheet(new) == new
    left = iter(new)
    assert all(character in left for character in text), "something was taken away"
    if "image-set(" not in text:
        assert new.count("image-set(") or new == text


def test_a_srcset_is_read_as_the_standard_says():
    def read(text: str) -> list[tuple[str, str]]:
        return [(one.reference, one.descriptors) for one in srcset.parse(text)]

    assert read(" a.jpg 1x , b.jpg\n 640w,c.jpg") == [("a.jpg", "1x"), ("b.jpg", "640w"), ("c.jpg", "")]
    assert read("a,b.jpg 2x, data:,x 3x") == [("a,b.jpg", "2x"), ("data:,x", "3x")]
    assert read("a.jpg, b.jpg,") == [("a.jpg", ""), ("b.jpg", "")]
    assert read("a.jpg (x, y) 2x, b.jpg (") == [("a.jpg", "(x, y) 2x"), ("b.jpg", "(")]
    assert read("a.jpg 100w 50h") == [("a.jpg", "100w 50h")]
    assert read(" , ,") == []


def test_encodings_come_back_byte_for_byte_or_not_at_all():
    for data in (
        "é".encode(),
        b"\xef\xbb\xbf<p>\xc3\xa9",
        b"\xff\xfe<\0p\0>\0",
        b"<meta charset=windows-1252>\xe9\x80",
        b"<meta http-equiv=content-type content='text/html; charset=iso-8859-1'>\xe9",
        b"<!-- <meta charset=utf-16> --><meta charset=utf-16>x",
        '<meta charset="shift_jis">表'.encode("shift_jis"),
    ):
        decoded = encoding.decode(data)
        assert decoded.encode(decoded.text) == data
    assert encoding.decode(b"<!-- <meta charset=koi8-r> --><meta charset=windows-1251>").codec == "cp1251"
    assert encoding.decode(b'@charset "koi8-r";\xc1', css=True).text[-1] == "\u0430"
    declared = b"<?xml version='1.0' encoding='koi8-r'?><meta charset=utf-8>\xc1"
    assert encoding.decode(declared, xml=True).text[-1] == "\u0430"
    for data in (b"\xe9", b"<meta charset=utf-8>\xff", b"<meta charset=nonsense>", b"\xff\xfe\0"):
        with pytest.raises(encoding.UndecodableError):
            encoding.decode(data)


def test_an_address_outside_says_so():
    with pytest.raises(ElsewhereError, match="external"):
        Site().resolve("http://x/", "https://semcompress.invalid/")
    assert Site().resolve("", Site().url("a/b.html")) is None


def test_what_a_page_declares_is_read_in_one_pass():
    """Without possessive quantifiers the first would take a third of a minute."""
    page = b"<meta " * 340 + b"charset=" + b" " * 2040 + b">"
    assert encoding.decode(page).codec == "utf-8"
    assert encoding.decode(b"<META NAME=x CharSet = ' latin1 '>").codec == "cp1252"
