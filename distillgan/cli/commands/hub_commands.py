"""`distillgan push NAME --repo user/x` and `distillgan pull user/x`."""

import argparse
from functools import partial
from pathlib import Path
from typing import NoReturn

from distillgan.cli.commands.arguments import EXIT_NOT_DONE, YES_AND_WHOLE, argument, confirmed, run
from distillgan.cli.commands.model_commands import make_card, take_in
from distillgan.errors import UserError, printable
from distillgan.models.header import damaged_tensors, read_header
from distillgan.paths import MODEL_SUFFIX
from distillgan.store.cards import CARD, Card, folder_of, read_card, shown_files
from distillgan.store.library import Imported, find_named
from distillgan.store.model_store import size


def push_main(arguments: list[str]) -> NoReturn:
    name = argument("name", metavar="NAME", help="its name; without --yes, the beginning of it will do")
    repo = argument("--repo", required=True, metavar="USER/NAME", help="the repository; it is made if it is not there")
    public = argument("--public", action="store_true", help="everybody may see and fetch it")
    other = "in place of another model that is there, or another card"
    replace = argument("--replace", action="store_true", help=other)
    message = argument("--message", metavar="TEXT", help="of the commit")
    words = "send a model, its card and its examples to a repository of the hub, private unless --public is said"
    run("push", words, _push, [name, repo, public, replace, message, YES_AND_WHOLE], arguments)


def _push(given: argparse.Namespace) -> int | None:
    # The hub's client takes a while to import: not before something is to be sent.
    from distillgan.progress import transfer_bar
    from distillgan.store.hub import check_repo, plan, push

    repo, path = check_repo(given.repo), find_named(given.home, given.name)
    if given.yes and path.stem != given.name:
        raise UserError(f"{given.name} is the beginning of {path.stem}: with --yes, write the whole name")
    if damaged := damaged_tensors(path):
        raise UserError(f"{path} is damaged ({', '.join(map(printable, damaged[:5]))}) and is not sent")
    card = _card(given, path)
    files = {f"{path.stem}{MODEL_SUFFIX}": path, CARD: card.folder / CARD, **shown_files(card)}
    planned = plan(repo, files, given.public, given.replace)
    out, kind = given.out, "private" if planned.private else "public"
    value = {
        "name": path.stem,
        "repo": repo,
        "private": planned.private,
        "created": planned.there is None,
        "files": [{"path": item, "bytes": file.stat().st_size} for item, file in planned.send.items()],
        "unchanged": planned.unchanged,
        "removed": planned.removed,
    }
    if not planned.send and not planned.removed:
        out.show({**value, "commit": planned.there.commit}, f"{repo} has all of it already")
        return None
    out.say(f"{repo}: {'a new repository' if planned.there is None else 'a repository that is there'}, {kind}")
    for item, file in planned.send.items():
        replaced = "  (replaced)" if item in planned.replaced else ""
        out.say(f"  {_size(file.stat().st_size):>9}  {printable(item)}{replaced}")
    for item in planned.removed:
        out.say(f"    removed  {printable(item)}")
    out.say(
        "The model holds the latents of the recordings, its note and its tags: whoever may see the repository can play "
        "something like what was recorded."
    )
    if not confirmed(f"Send {_size(planned.bytes)} to {repo}, {kind}?", given.yes):
        out.say("nothing is sent")
        return EXIT_NOT_DONE
    with transfer_bar(out.console, "sending") as progress:
        commit = push(planned, given.message or f"{path.stem}, a distillgan model", progress)
    out.show({**value, "commit": commit}, f"{path.stem}: sent, {repo} at {commit[:12]}")
    return None


def _size(count: int) -> str:
    return size(count) if count >= 100_000 else f"{count / 1e3:.1f} kB"


def _card(given: argparse.Namespace, path: Path) -> Card:
    """The card that is there if it is of these weights, whoever wrote it; else a new one."""
    card = read_card(folder_of(given.home, path.stem))
    fingerprint = read_header(path).fingerprint
    if card is not None and (card.fingerprint == fingerprint or card.fingerprint is None):
        return card
    if card is not None:
        raise UserError(
            f"{card.folder / CARD} is of other weights than {path.stem} has now: `distillgan card {path.stem}` writes "
            "it anew"
        )
    given.out.say(f"{path.stem} has no card yet: writing one, with examples")

    made, left_out = make_card(given.home, path)
    for words in left_out:
        given.out.say(words)
    return made


def pull_main(arguments: list[str]) -> NoReturn:
    repo = argument("repo", metavar="USER/NAME", help="the repository")
    revision = argument("--revision", metavar="R", help="a branch, a tag or a commit (main)")
    name = argument("--name", metavar="NAME", help="another name than its own; for a repository with one model")
    words = "fetch the models of a repository of the hub, every tensor checked, and never over another model"
    run("pull", words, _pull, [repo, revision, name], arguments)


def _pull(given: argparse.Namespace) -> int | None:
    # The hub's client takes a while to import: not before something is to be fetched.
    from distillgan.progress import transfer_bar
    from distillgan.store.hub import RemoteFile, check_repo, find, pull

    found = find(check_repo(given.repo), given.revision)
    if given.name is not None and len(found.models) > 1:
        raise UserError(f"--name {given.name} is for one model, and {given.repo} holds {len(found.models)}")
    commit = found.repository.commit

    def take(item: RemoteFile) -> Imported:
        with transfer_bar(given.out.console) as progress:
            return pull(given.home, found, item, given.name, progress)

    about = {"repo": given.repo, "commit": commit}
    code = take_in(given, "pulled", [({**about, "file": item.path}, partial(take, item)) for item in found.models])
    given.out.say(f"{given.repo} at {commit}")
    return code
