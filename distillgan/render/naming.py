"""Names of sound files, from a template."""

import re
import string
from collections.abc import Mapping

from distillgan.errors import UserError

FIELDS = ("model", "seed", "preset", "vocoder", "path", "spatial", "recording", "date", "time")
_MOST_BYTES = 200  # file systems take 255, and -2, -3 … and the suffix come to it
_UNWANTED = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')


def check_template(template: object) -> None:
    """Raises UserError unless it is a file's name with fields of FIELDS in braces, such as {model}_{seed:03}."""
    file_name(template, dict.fromkeys(FIELDS, "x") | {"seed": 1})


def file_name(template: object, values: Mapping[str, str | int]) -> str:
    """The name of a file, without suffix; what no file system takes in the values becomes `_`.

    Raises:
        UserError: as `check_template`, or the name is too long.
    """
    where = f"export.file={template}"
    if not isinstance(template, str) or not template.strip():
        raise UserError(f"{where} must be a file's name with fields such as {{model}} and {{seed}}")
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
        unknown = [field for field in fields if field not in FIELDS]
        if unknown:
            raise UserError(f"{where}: there is no field {{{unknown[0]}}}; there are {', '.join(FIELDS)}")
        plain = {key: value if isinstance(value, int) else _UNWANTED.sub("_", value) for key, value in values.items()}
        name = template.format(**plain)
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(f"{where} cannot be filled in: {error}") from error
    if _UNWANTED.search(name) or name.startswith(".") or name != name.strip():
        raise UserError(f"{where} must be a name without folders, and with no dot or space at its ends")
    if len(name.encode("utf-8", "surrogatepass")) > _MOST_BYTES:
        raise UserError(f"{where} gives a name of more than {_MOST_BYTES} bytes: choose a shorter template")
    return name
