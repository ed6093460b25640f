"""`python -m distillgan.weights`: where the universal vocoder's weights are; fetching and checking them."""

import sys

from omegaconf import DictConfig
from rich.console import Console

from distillgan import entry
from distillgan.errors import UserError
from distillgan.paths import Home
from distillgan.progress import transfer_bar
from distillgan.vocoder.download import cache_folder
from distillgan.vocoder.select import open_weights

ACTIONS = ("where", "fetch", "verify")


def weights(config: DictConfig) -> None:
    """Print where the files are, fetch what is missing, or hash them anew.

    Raises:
        UserError: something the user can mend; so a script can tell by the exit code.
    """
    wanted = [action for action in ACTIONS if config[action]]
    if len(wanted) > 1 or any(not isinstance(config[action], bool) for action in ACTIONS):
        raise UserError("weights wants one of --where, --fetch and --verify, without a value")
    console = Console(soft_wrap=True, highlight=False)
    if "pin" not in config.vocoder:
        raise UserError(f"vocoder={config.vocoder.name} has no weights to fetch: use vocoder=bigvgan")
    found = open_weights(config.vocoder, Home(config.paths.home))
    if wanted == ["fetch"]:
        with transfer_bar(console) as progress:
            paths = found.get(progress)
    elif wanted == ["verify"]:
        paths = found.verify()
    else:
        release, place = found.release, found.folder or cache_folder()
        console.print(f"{release.name}: {release.repo} at {release.revision}, looked for in {place}")
        for file in release.files:
            path = found.find(file)
            note = "" if path is None or found.checked(file) else "  (not checked yet)"
            console.print(f"  {path or f'{file.name}: not here'}{note}")
        return
    for path in paths:
        console.print(f"as pinned: {path}")


def main(arguments: list[str] | None = None) -> None:
    entry.run(weights, "weights", sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    main()
