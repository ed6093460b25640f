"""The README's table of configuration groups, made from conf/.

    python docs/config_table.py

For the README of another package the table of its folder is printed: python docs/config_table.py PATH/conf

Each option is told of by the first sentence of the comment at the head of its file. What starts with _ is part of
others and left out.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- made by docs/config_table.py from conf/ -->", "<!-- end of what is made -->"


def table(conf: Path) -> str:
    """A Markdown table with a row for each option, its group said once.

    Raises:
        SystemExit: a file has no comment at its head.
    """
    rows = ["| group | option | |", "|---|---|---|"]
    before = None
    for group, path in options(conf):
        said = f"`{group}`" if group != before else ""
        rows.append(f"| {said} | `{path.stem}` | {purpose(path)} |")
        before = group
    return "\n".join(rows)


def options(conf: Path) -> Iterator[tuple[str, Path]]:
    """Each group, such as hydra/launcher, with the file of each of its options, both by name."""
    for path in sorted(conf.rglob("[!_]*.yaml"), key=lambda path: path.relative_to(conf).parts):
        if path.parent != conf:
            yield path.parent.relative_to(conf).as_posix(), path


def purpose(path: Path) -> str:
    """The first sentence of the comment that the file begins with, as Markdown within a table."""
    head = re.match(r"(?:# @package.*\n)?((?:#.*\n)*)", path.read_text("utf-8"))[1]
    words = " ".join(line.lstrip("#").strip() for line in head.splitlines()).strip()
    if not words:
        sys.exit(f"{path}: has no comment at its head that says what it is for")
    sentence = re.split(r"(?<=\.) (?=[A-Z])", words)[0].removesuffix(".")
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", sentence)


def put_in(readme: str, made: str) -> str:
    """The README with the table between its two marks.

    Raises:
        SystemExit: the marks are not there, once each and in order.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        sys.exit(f"README.md wants one {BEGIN} and after it one {END}")
    return f"{before}{begin}\n\n{made}\n\n{end}{after}"


if __name__ == "__main__":
    page = ROOT / "README.md"
    if len(sys.argv) > 1:
        print(table(Path(sys.argv[1])))
    else:
        page.write_text(put_in(page.read_text("utf-8"), table(ROOT / "conf")), "utf-8")
