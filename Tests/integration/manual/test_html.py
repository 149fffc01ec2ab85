"""`make manual`: pages whose links lead somewhere, and that fit a telephone."""
import html.parser
import os
import re
import shutil
import subprocess
import sys

import pytest

from documents import BLOCKS, DOCUMENTS
from httpd_env import ROOT


MEASURE = """
onload = () => { document.title = [...document.querySelectorAll("iframe")].map(frame => [frame.contentDocument.documentElement
  .scrollWidth, parseInt(frame.contentWindow.getComputedStyle(frame.contentDocument.body).fontSize)].join(" ")).join() }
"""


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loads, self.code, self.open = [], [], [], [], []
        with open(path, encoding="utf-8") as page:
            self.text = page.read()
        self.feed(self.text)
        self.close()
        assert not self.open, (path, self.open)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if tag == "a" else []
        self.loads += [attributes[name] for name in ("src", "href") if tag != "a" and name in attributes]
        if tag == "code" and self.open[-1] == "pre":
            self.code.append("")
        if tag not in ("meta", "link", "br", "hr", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-2:] == ["pre", "code"]:
            self.code[-1] += data


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("html"))
    subprocess.run([sys.executable, os.path.join(ROOT, "conf", "manual.py"), directory], check=True, stdout=subprocess.DEVNULL)
    return os.path.join(directory, "manual")


@pytest.fixture(scope="module")
def pages(made):
    return {name: Page(os.path.join(made, name)) for name in os.listdir(made) if name.endswith(".html")}


def test_every_chapter_is_a_page_that_all_others_name(pages):
    chapters = {os.path.basename(path)[:-3] + ".html" for path in DOCUMENTS if path != "README.md"}
    assert set(pages) == chapters
    for name, page in pages.items():
        assert chapters <= set(page.links), name
        assert len(set(page.ids)) == len(page.ids), name


def test_links_lead_somewhere(made, pages):
    for name, page in pages.items():
        for target in page.links:
            path, _, anchor = target.partition("#")
            if not re.match(r"https?:", target):
                assert os.path.exists(os.path.join(made, path or name)), (name, target)
                assert not anchor or anchor in pages[path or name].ids, (name, target)


def test_every_number_leads_to_its_row(pages):
    links = {target.partition("#")[::2] for page in pages.values() for target in page.links}
    numbers = {anchor for path, anchor in links if path == "messages.html" and anchor}
    assert len(numbers) > 50 and numbers <= set(pages["messages.html"].ids)


def test_nothing_is_loaded_from_elsewhere(made, pages):
    assert all(page.loads == ["manual.css"] for page in pages.values())
    with open(os.path.join(made, "manual.css")) as style:
        assert not re.search(r"url\(|@import", style.read())


def test_examples_are_shown_as_they_are(pages):
    shown = {text for page in pages.values() for text in page.code}
    assert {block.text for block in BLOCKS if not block.where.startswith("README")} == shown


def test_pages_fit_a_telephone(made, pages, tmp_path):
    """In a real browser: no page is wider than 390 pixels, in text of a legible size."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("there is no Chromium here")
    frames = "".join('<iframe width=390 height=800 src="%s"></iframe>' % name for name in sorted(pages))
    with open(os.path.join(made, "frames.html"), "w") as out:
        out.write("<!doctype html><body>%s<script>%s</script>" % (frames, MEASURE))
    try:
        done = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom",
                               "--allow-file-access-from-files", "--user-data-dir=%s" % tmp_path, "file://%s/frames.html" % made],
                              capture_output=True, text=True, timeout=120)
    finally:
        os.remove(os.path.join(made, "frames.html"))
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title, done.stderr[-2000:]
    assert title[1].split(",") == ["390 16"] * len(pages)
