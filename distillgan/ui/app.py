"""The page put together: four tabs in the order of the work, and how it looks."""

from typing import Any

import gradio as gr

from distillgan.ui import data_tab, generate_tab, library_tab, train_tab
from distillgan.ui.page import CSS, QUIET, Page, Shown

TABS = {
    "Data": data_tab.build,
    "Train": train_tab.build,
    "Generate": generate_tab.build,
    "Library": library_tab.build,
}
_ABOUT = "Train a small model on your own recordings, and play it. Nothing leaves this machine."
_AT_ONCE = 16  # visitors that one button serves at the same time

# The visitor's system says whether it is dark, until he says otherwise; his browser remembers that.
_BEGIN = """() => {
  const kept = localStorage.getItem("distillgan-dark");
  if (kept !== null) document.body.classList.toggle("dark", kept === "1");
}"""
_TOGGLE = """() => {
  const dark = document.body.classList.toggle("dark");
  localStorage.setItem("distillgan-dark", dark ? "1" : "0");
}"""
_CSS = """
.gradio-container { max-width: 1440px !important; padding: 0 16px 24px !important; }
#head { align-items: baseline; gap: 12px; padding-top: 10px; }
#head h1 { font-size: 1.15rem; font-weight: 650; margin: 0; letter-spacing: .01em; }
#head p { color: var(--body-text-color-subdued); margin: 0; }
#head button { align-self: center; }
.submit-button {
  border-radius: var(--button-small-radius) !important; font-size: var(--button-small-text-size) !important;
  margin-left: 6px !important;
}
footer { display: none !important; }
"""
LOOK: dict[str, Any] = {
    "theme": gr.themes.Base(
        primary_hue="teal",
        neutral_hue="gray",
        text_size="sm",
        spacing_size="sm",
        radius_size="sm",
        font=("system-ui", "sans-serif"),  # nothing is fetched
        font_mono=("ui-monospace", "monospace"),
    ).set(
        body_text_color_subdued="*neutral_500",  # small letters, to be read on white
        button_cancel_background_fill="#b91c1c",
        button_cancel_background_fill_dark="#b91c1c",
        button_cancel_background_fill_hover="#991b1b",
        button_cancel_text_color="white",
    ),
    "css": _CSS + CSS + data_tab.CSS + train_tab.CSS + library_tab.CSS,
    "js": _BEGIN,
}


def build(page: Page) -> gr.Blocks:
    """All of the page. A tab is brought up to date when it is selected, and all are when the page is loaded."""
    with gr.Blocks(title="distillgan", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)) as blocks:
        with gr.Row(elem_id="head"):
            gr.HTML(f"<h1>distillgan</h1><p>{_ABOUT}</p>", padding=False)
            gr.Button("Light / dark", size="sm", scale=0, min_width=110).click(None, js=_TOGGLE)
        with gr.Tabs():
            for name, tab in TABS.items():
                with gr.Tab(name) as shown:
                    _refreshed(blocks, shown, tab(page))
    return blocks.queue(default_concurrency_limit=_AT_ONCE, api_open=False)


def _refreshed(blocks: gr.Blocks, tab: gr.Tab, shown: Shown) -> None:
    for event in (tab.select, blocks.load):
        event(shown.refresh, None, shown.outputs, **QUIET)
