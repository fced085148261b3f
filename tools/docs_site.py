# SPDX-License-Identifier: Apache-2.0
"""What MkDocs must be told of this repository (mkdocs.yml): README.md is the start page, and files outside docs/ that pages link to,
configurations and sources, come along as text under repository/, so that no link of the site leads nowhere."""
import pathlib
import re

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDE_TABLES = ".wy-table-responsive table td, .wy-table-responsive table th { white-space: normal; }\n"
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")


def place_of(folder, target):
    """Where a link of a page in `folder` leads to on the site, seen from its top, and the file outside docs/ that it needs, if any."""
    path = (folder / target).resolve()
    if path.is_relative_to(ROOT / "docs"):
        return str(path.relative_to(ROOT / "docs")), None
    if path == ROOT / "README.md":
        return "index.md", None
    return f"repository/{path.relative_to(ROOT)}.txt", path


def rewritten(text, folder):
    """A page's Markdown with its links as they are on the site; and the files that these need."""
    needed = set()

    def link(found):
        target, file = place_of(folder, found[2])
        anchor = found[3]
        if file is not None:
            needed.add(file)
            anchor = ")"  # a text has no anchors
        return found[1] + target + anchor

    return LINK.sub(link, text), needed


def on_files(files, config):
    start, needed = rewritten((ROOT / "README.md").read_text(encoding="utf-8"), ROOT)
    files.append(File.generated(config, "index.md", content=start))
    files.append(File.generated(config, "css/tables.css", content=WIDE_TABLES))
    for page in (ROOT / "docs").glob("*.md"):
        needed |= rewritten(page.read_text(encoding="utf-8"), page.parent)[1]
    for file in sorted(needed):
        files.append(File.generated(config, f"repository/{file.relative_to(ROOT)}.txt", content=file.read_bytes()))
    return files


def on_page_markdown(markdown, page, **_):
    return markdown if page.file.src_uri == "index.md" else rewritten(markdown, ROOT / "docs")[0]
