"""`distillgan again ID`: a generation of the history made once more."""

from distillgan.commands.arguments import argument, single
from distillgan.commands.reproduce import MORE, again


def main(given: list[str]) -> None:
    words = "make a generation of the history again, and compare"
    single("again", words, again, given, argument("id", help="its number, or `latest`"), MORE)
