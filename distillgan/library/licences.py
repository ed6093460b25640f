"""Licences as people write them, and the identifiers that the hub knows them by."""

import re

# Those of the hub's that recordings and models are likely to have.
_KNOWN = {
    *("apache-2.0", "bsd-2-clause", "bsd-3-clause", "isc", "mit", "mpl-2.0", "unlicense", "zlib", "wtfpl"),
    *("agpl-3.0", "gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "odc-by", "odbl", "pddl"),
    *("cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nd-4.0"),
    *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
}
# Where a name without its version has had one alone.
_SHORT = {"cc0": "cc0-1.0", "cc-0": "cc0-1.0", "apache": "apache-2.0"}


def hub_licence(text: str) -> str | None:
    """`CC BY 4.0` → `cc-by-4.0`; None where it is none that the hub knows, or says less than a licence.

    `CC BY` says no version, and `GPL-3.0-or-later` more than one.
    """
    plain = re.sub(r"[\s_-]+", "-", text.strip().casefold())
    plain = re.sub(r"-(?:v|version-)?(\d(?:\.\d)?)$", r"-\1", plain)
    plain = re.sub(r"-licen[cs]e$", "", plain)
    plain = _SHORT.get(plain, plain)
    return plain if plain in _KNOWN else None
