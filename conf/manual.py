#!/usr/bin/env python3
"""Makes HTML of the manual: manual.py DIRECTORY. The pages are in DIRECTORY/manual, with the files that they link to beside it."""
import html
import os
import re
import shutil
import sys

import mistune

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "manual")
# Other directories of conf/ that chapters link to.
BESIDE = ["containers", "monitoring"]
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="manual.css">
</head>
<body>
<header><details><summary>mod_wsgi: {heading}</summary><ol>{chapters}</ol></details></header>
<main>
{body}</main>
<footer><span>{before}</span><span>{after}</span></footer>
</body>
</html>
"""


class Renderer(mistune.HTMLRenderer):
    """Headings have the names that GitHub gives them, links lead to pages, and numbers of messages to their rows."""

    def __init__(self, name):
        super().__init__()
        self.name, self.headings, self.ids = name, [], set()

    def heading(self, text, level, **attributes):
        plain = html.unescape(re.sub(r"<[^>]*>", "", text))
        name = base = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = 0
        while name in self.ids:
            count += 1
            name = "%s-%d" % (base, count)
        self.ids.add(name)
        self.headings.append((level, name, re.sub(r"</?a\b[^>]*>", "", text), plain))
        inner = text if level == 1 or "<a " in text else '<a href="#%s">%s</a>' % (name, text)
        return '<h%d id="%s">%s</h%d>\n' % (level, name, inner, level)

    def link(self, text, url, title=None):
        return super().link(text, re.sub(r"^([\w-]+)\.md(?=#|$)", r"\1.html", url), title)

    def codespan(self, text):
        code = super().codespan(text)
        number = re.fullmatch(r"WSGI(\d{4})", text)
        return '<a href="messages.html#%s">%s</a>' % (number[1], code) if number else code

    def table(self, text):
        """On a narrow screen, where a row becomes a block, each cell says what it is."""
        labels = [html.escape(html.unescape(re.sub(r"<[^>]*>", "", head)).strip(), quote=True)
                  for head in re.findall(r"<th\b[^>]*>(.*?)</th>", text)]

        def labelled(row):
            cells = iter(labels)
            return re.sub(r"<td\b", lambda _: '<td data-label="%s"' % next(cells, ""), row[0])
        return '<div class="table"><table>\n%s</table></div>\n' % re.sub(r"<tr>.*?</tr>", labelled, text, flags=re.S)

    def table_row(self, text):
        """A row of the list of messages has the names of its numbers."""
        first = re.match(r"\s*<td\b[^>]*>(\d{4}[^<]*)</td>", text) if self.name == "messages" else None
        if not first:
            return "<tr>\n%s</tr>\n" % text
        names = [number for low, high in re.findall(r"(\d{4})(?:–(\d{4}))?", first[1])
                 for number in range(int(low), int(high or low) + 1)]
        marks = "".join('<span id="%04d"></span>' % number for number in names)
        return "<tr>\n%s</tr>\n" % text.replace(first[1], marks + first[1], 1)


class Chapter:
    def __init__(self, name):
        self.name = name
        with open(os.path.join(SOURCE, name + ".md"), encoding="utf-8") as source:
            text = source.read()
        renderer = Renderer(name)
        markdown = mistune.Markdown(renderer)
        mistune.plugins.table.table(markdown)
        # The plugin has renderers of its own for these.
        renderer.register("table", lambda _, text: renderer.table(text))
        renderer.register("table_row", lambda _, text: renderer.table_row(text))
        self.body = markdown(text)
        _, _, self.heading, self.title = renderer.headings[0]
        self.sections = [(anchor, heading) for level, anchor, heading, _ in renderer.headings if level == 2]

    def body_with_contents(self):
        if len(self.sections) < 2:
            return self.body
        items = "".join('<li><a href="#%s">%s</a></li>\n' % section for section in self.sections)
        return self.body.replace("</h1>\n", '</h1>\n<nav class="contents"><ul>\n%s</ul></nav>\n' % items, 1)


def link(chapter, words="{}"):
    return '<a href="%s.html">%s</a>' % (chapter.name, words.format(chapter.heading)) if chapter else ""


def main(directory):
    with open(os.path.join(SOURCE, "index.md"), encoding="utf-8") as index:
        names = re.findall(r"^- \[[^\]]*\]\(([\w-]+)\.md\)", index.read(), re.M)
    chapters = [Chapter(name) for name in ["index"] + names]
    pages = os.path.join(directory, "manual")
    shutil.rmtree(pages, ignore_errors=True)
    os.makedirs(pages)
    shutil.copy(os.path.join(HERE, "manual.css"), pages)
    for name in BESIDE:
        shutil.copytree(os.path.join(HERE, name), os.path.join(directory, name), dirs_exist_ok=True)
    for before, chapter, after in zip([None] + chapters, chapters, chapters[1:] + [None]):
        items = "".join("<li>%s</li>" % link(one).replace("<a ", '<a aria-current="page" ' if one is chapter else "<a ", 1)
                        for one in chapters)
        with open(os.path.join(pages, chapter.name + ".html"), "w", encoding="utf-8") as out:
            out.write(PAGE.format(title=html.escape(chapter.title), heading=chapter.heading, chapters=items,
                                  body=chapter.body_with_contents(), before=link(before, "← {}"), after=link(after, "{} →")))
    print("%d pages: %s" % (len(chapters), os.path.join(pages, "index.html")))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
