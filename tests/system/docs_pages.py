# SPDX-License-Identifier: Apache-2.0
"""Documentation holds together: every page of docs/ is in the site's navigation (mkdocs.yml) and everything there exists, and every
relative link of every Markdown file leads to a file, and to a heading of it; lines of text have at most 120 columns, and the objective that
CONTRIBUTING.md shows is the one that is tested. Where MkDocs can be imported the site is built, too.

usage: docs_pages.py ROOT
"""
import importlib.util
import pathlib
import re
import subprocess
import sys
import tempfile

OUTSIDE = re.compile(r"[a-z]+:")
PAGE_OF_HOOK = "index.md"  # tools/docs_site.py makes it of README.md


def prose(text):
    """A page without code, where brackets mean something else."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(text):
    """What a link may name after #: the headings, as GitHub and MkDocs make anchors of them."""
    headings = re.findall(r"^#{1,6} (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower().strip() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def broken_links(root, files):
    """Problems as texts, and the number of links looked at."""
    problems, n = [], 0
    for file in files:
        for link in re.findall(r"\]\(([^)\s]+)\)", prose(file.read_text(encoding="utf-8"))):
            if OUTSIDE.match(link):
                continue
            n += 1
            name, _, anchor = link.partition("#")
            target = (file.parent / name).resolve() if name else file
            if not target.exists():
                problems.append(f"{file.relative_to(root)}: {link} leads nowhere")
            elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
                problems.append(f"{file.relative_to(root)}: {link} names no heading there")
    return problems, n


def long_lines(root, files):
    """Lines of text beyond 120 columns; tables, code and what is one word may be longer."""
    for file in files:
        text = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), file.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > 120 and not line.startswith(("|", "    ", "<", "[")) and " " in line.strip().removeprefix("- "):
                yield f"{file.relative_to(root)}:{number}: {len(line)} columns, expected at most 120"


def untested_example(root):
    """Lines of the objective in CONTRIBUTING.md that the one which is compiled and tested does not have."""
    def words(text):
        return " ".join(re.sub(r"//.*", "", text).split())

    tested = words((root / "tests/mpi/learn/objective_test.cpp").read_text(encoding="utf-8"))
    section = (root / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## How to add an objective\n")[1]
    for line in re.search(r"^```cpp\n(.*?)^```", section, re.DOTALL | re.MULTILINE)[1].splitlines():
        if words(line) not in tested:
            yield f"CONTRIBUTING.md: '{line.strip()}' is not in tests/mpi/learn/objective_test.cpp"


def wrong_navigation(root):
    nav = (root / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    named = re.findall(r":\s*(\S+\.md)\s*$", nav, re.MULTILINE)
    pages = {page.name for page in (root / "docs").glob("*.md")} | {PAGE_OF_HOOK}
    return ([f"mkdocs.yml names {name} twice" for name in set(named) if named.count(name) > 1]
            + [f"mkdocs.yml names {name}, which docs/ does not have" for name in set(named) - pages]
            + [f"docs/{name} is missing in the navigation of mkdocs.yml" for name in pages - set(named)])


def self_test():
    """Each planted mistake is found, and nothing else."""
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        (root / "docs").mkdir()
        (root / "mkdocs.yml").write_text("x: y.md\nnav:\n  - Start: index.md\n  - A:\n      - One: one.md\n      - Lost: lost.md\n")
        (root / "docs/one.md").write_text("# One `a` b, [c](d)!\n[x](#one-a-b-c) [y](two.md#no) [z](none.md) [w](http://x) `[v](u)`\n"
                                          "```\n# not a heading\n[t](s)\n```\n[r](two.md)\n")
        (root / "docs/two.md").write_text("text\n")
        problems, n = broken_links(root, sorted((root / "docs").glob("*.md")))
        assert n == 5, f"five links are planted, {n} were seen"  # that of the heading too
        assert [p.split(": ")[1].split()[0] for p in problems] == ["d", "two.md#no", "none.md"], problems
        assert len(wrong_navigation(root)) == 2, wrong_navigation(root)
        wide = "word " * 30
        (root / "docs/three.md").write_text(f"ü{'x' * 119}\n| {wide} |\n```\n{wide}\n```\n- {'u' * 130}\n{wide}\n")
        assert [p.split(":")[1] for p in long_lines(root, [root / "docs/three.md"])] == ["7"]
        (root / "tests/mpi/learn").mkdir(parents=True)
        (root / "tests/mpi/learn/objective_test.cpp").write_text("int a(int b,\n      int c) { return b; }\n")
        (root / "CONTRIBUTING.md").write_text("# C\n\n## How to add an objective\n\n```cpp\nint a(int b,  // first\n  int c) {\nreturn c;\n```\n")
        assert ["return c;" in p for p in untested_example(root)] == [True]


def main(root):
    self_test()
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=root,
                            capture_output=True, text=True, check=False).stdout.split()
    files = [root / file for file in listed if (root / file).exists()] or [*root.glob("*.md"), *(root / "docs").glob("*.md")]
    problems, n = broken_links(root, files)
    problems += wrong_navigation(root)
    problems += long_lines(root, [file for file in files if file.parent in (root, root / "docs")])
    problems += untested_example(root)
    if importlib.util.find_spec("mkdocs"):
        with tempfile.TemporaryDirectory() as site:
            done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", site, "-f", root / "mkdocs.yml"],
                                  capture_output=True, text=True, check=False)
            n_pages = len(list(pathlib.Path(site).glob("*.html")))
            if done.returncode != 0 or n_pages < len(list((root / "docs").glob("*.md"))):
                problems.append(f"mkdocs build made {n_pages} pages and said {(done.stdout + done.stderr)[-3000:]}")
            print(f"the site has {n_pages} pages")
    else:
        print("the site was not built: there is no MkDocs")
    print("\n".join(problems) if problems else f"{n} links of {len(files)} files lead somewhere")
    return 1 if problems or n < 50 else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
