"""`distillgan pull user/x`: the models of a repository of the hub into the library."""

import argparse
from typing import NoReturn

from distillgan.commands.arguments import argument, report, single
from distillgan.errors import UserError

_WORDS = "fetch the models of a repository of the hub, every tensor checked, and never over another model"


def main(arguments: list[str]) -> NoReturn:
    repo = argument("repo", metavar="USER/NAME", help="the repository")
    revision = argument("--revision", metavar="R", help="a branch, a tag or a commit (main)")
    name = argument("--name", metavar="NAME", help="another name than its own; for a repository with one model")
    single("pull", _WORDS, _pull, arguments, repo, revision, name)


def _pull(given: argparse.Namespace) -> int | None:
    # The hub's client takes a while to import: not before something is to be fetched.
    from distillgan.library.hub import check_repo
    from distillgan.library.pull import find, pull
    from distillgan.progress import transfer_bar

    found = find(check_repo(given.repo), given.revision)
    if given.name is not None and len(found.models) > 1:
        raise UserError(f"--name {given.name} is for one model, and {given.repo} holds {len(found.models)}")
    commit, done = found.repository.commit, []
    for item in found.models:
        result = {"repo": given.repo, "commit": commit, "file": item.path, "name": None, "path": None, "added": False}
        result["fault"] = None
        try:
            with transfer_bar(given.out.console) as progress:
                path, added = pull(given.home, found, item, given.name, progress)
            result |= {"name": path.stem, "path": str(path), "added": added}
            given.out.say(f"{path.stem}: {'pulled' if added else 'there already'}, {path}")
        except UserError as fault:  # the other models are no worse for it
            result["fault"] = str(fault)
            report(str(fault))
        done.append(result)
    given.out.say(f"{given.repo} at {commit}")
    given.out.show(done, lambda _: None)
    return 2 if any(result["fault"] for result in done) else None
