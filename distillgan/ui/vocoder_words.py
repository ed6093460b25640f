"""Which vocoders there are for what is to play, and what Auto would take, said before anything is rendered."""

from collections.abc import Sequence

from distillgan.errors import UserError
from distillgan.library.catalog import find_model
from distillgan.modellayout import read_header
from distillgan.ui.page import Page
from distillgan.vocoder.select import open_weights

_ALWAYS = [("Auto", "auto"), ("BigVGAN, universal", "bigvgan"), ("Small universal", "universal")]


def choices(page: Page, models: Sequence[str]) -> list[tuple[str, str]]:
    """Raises UserError if a model cannot be read."""
    kind = _own(page, models)
    return _ALWAYS if kind is None else [*_ALWAYS, (f"This model's own ({kind})", kind)]


def foreseen(page: Page, models: Sequence[str], vocoder: str) -> str:
    """What will play, in words. Raises UserError if a model cannot be read."""
    kind = _own(page, models)
    if vocoder == "auto" and kind is not None:
        return f"Auto takes the model's own vocoder ({kind})."
    if vocoder not in ("auto", "bigvgan"):
        return ""
    try:
        weights = open_weights(page.settings.vocoder, page.home)
    except UserError as error:
        return f"BigVGAN cannot play: {error}"
    alone = "a blend has no vocoder of its own" if len(models) > 1 else "this model has no vocoder of its own"
    why = f"Auto takes BigVGAN: {alone}, and " if vocoder == "auto" else "BigVGAN: "
    if weights.here():
        return f"{why}its weights are here."
    if weights.folder is not None:
        return f"BigVGAN's weights are not in {weights.folder}."
    size = sum(file.size for file in weights.release.files) / 1e6
    fetched = f"its weights ({size:,.0f} MB) are fetched first, once."
    return f"{why}{fetched}{' Without a connection the small universal one plays.' if vocoder == 'auto' else ''}"


def _own(page: Page, models: Sequence[str]) -> str | None:
    """The kind of the only model's own vocoder."""
    if len(models) != 1:
        return None
    vocoder = read_header(find_model(page.home, models[0])).vocoder
    return vocoder["name"] if vocoder else None
