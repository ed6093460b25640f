"""From nodes of the configuration to objects, and to plain values."""

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from distillgan.errors import UserError
from distillgan.texts import literals


def build(node: DictConfig, **arguments):
    """The object that a configuration node describes.

    Raises:
        UserError: a value of it is refused; in the constructor's own words.
    """
    try:
        # Hydra resolves a node, and then each value of it once more: a text with ${ in it is to outlive both.
        return instantiate(literals(literals(OmegaConf.to_container(node, resolve=True))), **arguments, _convert_="all")
    except InstantiationException as error:
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        raise UserError(str(cause)) from error


def plain(config: DictConfig) -> dict:
    """A node of the configuration as plain Python, every interpolation resolved."""
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
