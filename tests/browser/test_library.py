"""The Library tab by hand: found, described, renamed, taken out, put in, deleted; and what the browser is told."""

import pytest
from crafted import write_crafted, write_small

from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.store.model_store import list_models

expect = pytest.importorskip("playwright.sync_api").expect

EVIL = "<img src=x onerror=\"document.title='evil'\">"


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path / "home")
    write_crafted(home.models, "rain", sliders=("brightness", "density"), halves=("reverb",))
    write_small(home.models, "wind", 2, tags=["dry"], note="from the north")
    write_small(home.models, "evil", 3, tags=[EVIL], note=EVIL, licence=EVIL)
    return home


def names(page):
    return page.locator("#models [data-testid^='cell-'][data-testid$='-0']")


def chosen(page, name: str) -> None:
    names(page).get_by_text(name, exact=True).click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def submit(page, box: str, text: str) -> None:
    page.locator(f"#model-{box} textarea").fill(text)
    page.locator(f"#model-{box}").get_by_test_id("submit-button").click()


def test_the_library_by_hand(server, visit, home, tmp_path, screenshot):
    address = server(home.root)
    page = visit(address, "Library")
    chosen(page, "rain")
    expect(page.locator(".fidelity tr").nth(1)).to_contain_text("338")
    screenshot(page, "library")

    submit(page, "tags", "wet, roof")
    expect(page.get_by_text("The tags are saved.")).to_be_visible()
    assert read_header(home.model("rain")).tags == ["roof", "wet"]
    expect(page.locator("#models")).to_contain_text("roof, wet")
    submit(page, "tags", "no!")
    expect(page.get_by_text("a tag is one word")).to_be_visible()

    submit(page, "note", "two nights")
    expect(page.get_by_text("The note is saved.")).to_be_visible()
    assert read_header(home.model("rain")).note == "two nights"

    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("rain is whole")).to_be_visible()

    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_text("Download rain.distillgan").click()
    copy = tmp_path / "copy.distillgan"
    download.value.save_as(copy)
    assert copy.read_bytes() == home.model("rain").read_bytes()

    submit(page, "name", "wind")
    expect(page.get_by_text("wind is taken by another model")).to_be_visible()
    submit(page, "name", "roof")
    expect(page.get_by_text("rain is roof now.")).to_be_visible()
    expect(page.locator("#models")).to_contain_text("roof")

    page.get_by_role("button", name="Delete …").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("button", name="Keep it")).to_be_hidden()
    page.get_by_role("button", name="Delete …").click()
    expect(page.get_by_text("Delete the model roof for good?")).to_be_visible()
    page.get_by_role("button", name="Delete roof").click()
    expect(page.get_by_text("roof is deleted.")).to_be_visible()
    assert [record.name for record in list_models(home)] == ["evil", "wind"]

    page.get_by_role("button", name="Add a model from a file").click()
    page.locator("input[type=file][accept='.distillgan']").set_input_files(copy)
    page.get_by_role("button", name="Check and add").click()
    page.get_by_role("heading", name="rain", exact=True).wait_for()
    assert home.model("rain").read_bytes() == copy.read_bytes()
    broken = tmp_path / "broken.distillgan"
    broken.write_bytes(copy.read_bytes()[:-1])
    page.locator("input[type=file][accept='.distillgan']").set_input_files(broken)
    page.get_by_role("button", name="Check and add").click()
    expect(page.get_by_text("broken.distillgan: truncated")).to_be_visible()
    assert [record.name for record in list_models(home)] == ["evil", "rain", "wind"]


def test_lists_are_narrowed_and_two_visitors_do_not_share_them(server, visit, home):
    address = server(home.root)
    first, second = visit(address, "Library"), visit(address, "Library", width=1024, dark=True)
    expect(names(first)).to_have_count(3)
    first.get_by_label("Search").fill("north")
    expect(names(first)).to_have_count(1)
    chosen(first, "wind")
    expect(names(second)).to_have_count(3)
    chosen(second, "rain")
    expect(first.locator("#model-name textarea")).to_have_value("wind")
    expect(second.locator("#model-name textarea")).to_have_value("rain")
    # Brought up to date when it is shown again, and as narrow as it was.
    write_small(home.models, "northern", 4, note="north, too")
    first.get_by_role("tab", name="Data", exact=True).click()
    first.get_by_role("tab", name="Library", exact=True).click()
    expect(names(first)).to_have_count(2)


def test_a_strangers_file_brings_no_script_and_nothing_comes_from_elsewhere(server, visit, home):
    page = visit(server(home.root))
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("response", lambda answer: errors.append(answer.url) if answer.status >= 400 else None)
    page.reload()
    page.get_by_role("tab", name="Library", exact=True).click()
    chosen(page, "evil")
    page.get_by_role("tab", name="All that its file says").click()
    expect(page.locator(".facts")).to_contain_text(EVIL)
    submit(page, "tags", EVIL)
    expect(page.get_by_text("a tag is one word")).to_be_visible()
    assert page.title() == "distillgan" and not errors
    own = page.evaluate("location.origin")
    assert {url for url in asked if not url.startswith((own, "data:", "blob:"))} == set()


def test_light_and_dark_follow_the_system_until_the_visitor_says_otherwise(server, visit, home):
    page = visit(server(home.root), dark=True)
    assert page.evaluate("document.body.classList.contains('dark')")
    page.get_by_role("button", name="Light / dark").click()
    assert not page.evaluate("document.body.classList.contains('dark')")
    page.reload()
    page.get_by_role("tab", name="Library", exact=True).wait_for()
    expect(page.locator("body.dark")).to_have_count(0)
