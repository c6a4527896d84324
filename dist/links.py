#!/usr/bin/python3
"""links.py TREE DOC: makes the links of the pages in DOC lead to where TREE has what they name. What is not installed, as the sources, is
named without a link."""

import os
import re
import sys

tree, doc = sys.argv[1:]

# Where the files of the sources are installed, below TREE.
PLACES = [
    (re.compile(r"contrib/(gridmon-system)$"), r"usr/bin/\1"),
    (re.compile(r"contrib/([^/]+\.(?:service|timer))$"), r"usr/lib/systemd/system/\1"),
    (re.compile(r"contrib/openrc(/[^/]+)?$"), r"usr/share/gridmon/openrc\1"),
    (re.compile(r"contrib/([^/]+\.conf)$"), r"usr/share/gridmon/web/\1"),
    (re.compile(r"contrib/grafana(/.*)?$"), r"usr/share/gridmon/grafana\1"),
    (re.compile(r"LICENSE$"), None),
]
LINK = re.compile(r"(!?)\[((?:[^\[\]]|!?\[[^\[\]]*\](?:\([^()]*\))?)*)\]\(([^()\s]+)\)")


def place(page, target):
    """The target of a link of a page as it is installed; None if nothing is."""
    path, _, anchor = target.partition("#")
    anchor = "#" + anchor if anchor else ""
    folder = os.path.dirname(page)
    if not path or os.path.exists(os.path.join(folder, path)):
        return target
    source = os.path.relpath(os.path.join(folder, path), doc)
    for pattern, installed in PLACES:
        if pattern.match(source.rstrip("/")):
            there = os.path.join(doc, "copyright") if installed is None else \
                os.path.join(tree, pattern.sub(installed, source.rstrip("/")).rstrip("/"))
            return os.path.relpath(there, folder) + anchor if os.path.exists(there) else None
    return None


def mended(page, text):
    """The text of a page with links that lead somewhere; blocks of code stay as they are."""

    def one(found):
        is_picture, words, target = found.groups()
        # A picture may stand in a link.
        words = LINK.sub(one, words)
        if re.match(r"[a-z]+:", target):
            return f"{is_picture}[{words}]({target})"
        to = place(page, target)
        return words if to is None else f"{is_picture}[{words}]({to})"

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if at % 2 else LINK.sub(one, part) for at, part in enumerate(parts))


for folder, _, names in os.walk(doc):
    for name in sorted(names):
        if name.endswith(".md"):
            page = os.path.join(folder, name)
            with open(page, encoding="utf-8") as file:
                text = file.read()
            with open(page, "w", encoding="utf-8") as file:
                file.write(mended(page, text))
