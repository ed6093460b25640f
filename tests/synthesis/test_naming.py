"""Names from templates: every field, and nothing that is no name of a file."""

import re

import pytest

from distillgan.errors import UserError
from distillgan.synthesis.export import FIELDS, check_template, file_name

VALUES = {**{field: field.upper() for field in FIELDS}, "seed": 7}


def test_every_field():
    template = "_".join(f"{{{field}}}" for field in FIELDS)
    assert file_name(template, VALUES) == "MODEL_7_PRESET_VOCODER_PATH_SPATIAL_RECORDING_DATE_TIME"
    assert file_name("Regen Nr. {seed:03d} – {model}", VALUES) == "Regen Nr. 007 – MODEL"


def test_what_no_file_system_takes_is_replaced_in_values():
    assert file_name("{preset}", {**VALUES, "preset": 'a/b\\c:d*e?f"g<h>i|j\n'}) == "a_b_c_d_e_f_g_h_i_j_"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("", "must be a file's name"),
        ("  ", "must be a file's name"),
        (7, "must be a file's name"),
        ("{nosuch}", "there is no field {nosuch}; there are model, seed"),
        ("{}", "there is no field {}"),
        ("{0}", "there is no field {0}"),
        ("{model.__class__}", "there is no field {model.__class__}"),
        ("{model[0]}", "there is no field {model[0]}"),
        ("{model", "cannot be filled in"),
        ("{model:d}", "cannot be filled in"),
        ("{seed!x}", "cannot be filled in"),
        ("a/{model}", "must be a name without folders"),
        ("..{model}", "must be a name without folders"),
        ("{model} ", "must be a name without folders"),
        ("{model}\n", "must be a name without folders"),
        ("{model:x>300}", "gives a name of more than 200 bytes"),
        ("雨" * 100, "gives a name of more than 200 bytes"),
    ],
)
def test_templates_that_are_none(template, words):
    for call in (lambda: check_template(template), lambda: file_name(template, VALUES)):
        with pytest.raises(UserError, match=re.escape(words)):
            call()
