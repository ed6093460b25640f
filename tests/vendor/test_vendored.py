"""The vendored networks stand beside the package, which links to them; tests/test_wheel.py looks into the wheel."""

from pathlib import Path

import distillgan.vendor.bigvgan

VENDOR = Path(__file__).resolve().parents[2] / "vendor"


def test_the_checkouts_own_vendor_is_imported():
    assert Path(distillgan.vendor.bigvgan.__file__).resolve() == VENDOR / "bigvgan" / "__init__.py"


def test_each_network_has_its_pin_and_the_licence_of_its_weights():
    for folder in (path.parent for path in VENDOR.glob("*/__init__.py")):
        pin = (folder / "PIN").read_text()
        assert all(f"\n{key}: " in pin for key in ("name", "commit", "hub_repo", "hub_revision", "licence"))
        assert "Permission is hereby granted" in (folder / "LICENSE.weights").read_text()
