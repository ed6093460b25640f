"""The report of an evaluation of vocoders: a table on the terminal, the same in Markdown, and its notes."""

from rich.table import Table
from rich.text import Text

from distillgan.audio.io import printable

_SHOWN = 5


def heading(result: dict) -> str:
    clips = result["means"][0]["clips"]
    return f"{result['model']}: vocoders on {clips} {result['part']} clip{'' if clips == 1 else 's'}"


def table(result: dict) -> Table:
    """The means over the clips: a row a metric, a column a vocoder, true mels / own mels; terminals are narrow."""
    cells = {}
    for line in result["means"]:
        cells.setdefault(line["vocoder"], []).append(_cells(result, line))
    shown = Table(title=heading(result), title_justify="left")
    shown.add_column("true / own mels")
    for name in cells:
        shown.add_column(Text(name, overflow="fold"), justify="right")
    for number, metric in enumerate(result["metrics"]):
        shown.add_row(_arrow(metric), *(_both(true[number], own[number]) for true, own in cells.values()))
    return shown


def notes(result: dict) -> list[str]:
    """Notes that explain the numbers."""
    said = [f"true mels: of the recording; own mels: what {result['model']}'s VAE makes of them (posterior mean)"]
    if result["part"] != "held out":
        said.append(f"no clip is held out: these are {result['part']}, which the model knows, and say little")
    if result["shortened"]:
        said.append(f"only the first {result['limit_seconds']:g} s were judged of {_named(result['shortened'])}")
    if result["silent"]:
        said.append(f"left out, silent in the first {result['limit_seconds']:g} s: {_named(result['silent'])}")
    if result["not_installed"]:
        said.append(
            f"not installed: {', '.join(result['not_installed'])}; pip install 'distillgan[scores]' brings them"
        )
    return said


def markdown(result: dict) -> str:
    """The table of the means, the notes, what the columns are, and a table of every clip."""
    headings = [_arrow(metric) for metric in result["metrics"]]
    means = [[line["vocoder"], line["mels"], *_cells(result, line)] for line in result["means"]]
    files = [[printable(r["path"]), r["vocoder"], r["mels"], *_cells(result, r)] for r in result["files"]]
    parts = [
        f"# {heading(result)}",
        _markdown_table(["vocoder", "mels", *headings], means),
        "\n".join(f"- {note}" for note in notes(result)),
        "\n".join(f"- **{m['heading']}** ({m['better']} is better): {m['about']}" for m in result["metrics"]),
        "## Clip by clip",
        _markdown_table(["clip", "vocoder", "mels", *headings], files),
    ]
    return "\n\n".join(parts) + "\n"


def _cells(result: dict, line: dict) -> list[str]:
    cells = []
    for metric in result["metrics"]:
        value = line[metric["key"]]
        missing = "not installed" if metric["key"] in result["not_installed"] else "n/a"
        cells.append(missing if value is None else f"{value:.{metric['digits']}f}")
    return cells


def _both(true: str, own: str) -> str:
    """Two numbers, or once the reason why there is none."""
    return own if true == own and not own[0].isdigit() else f"{true} / {own}"


def _arrow(metric: dict) -> str:
    return f"{metric['heading']} {'↑' if metric['better'] == 'higher' else '↓'}"


def _named(names: list[str]) -> str:
    listed = ", ".join(printable(name) for name in names[:_SHOWN])
    return listed + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _markdown_table(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * 2 + ["---:"] * (len(headings) - 2), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
