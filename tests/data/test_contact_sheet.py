import base64
import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.config import IGNORE, DataConfig
from cryoseg_tf.data import contact_sheet

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def sheet(phantoms, tmp_path):
    """``sheet()`` checks the phantoms and returns the path of their page."""

    def make():
        conclusion, config = phantoms.conclusion(), DataConfig()
        cards = list(contact_sheet.cards(conclusion, config))
        contact_sheet.write(tmp_path / "check.html", phantoms.root, conclusion, cards, config.classes)
        return tmp_path / "check.html"

    return make


def decoded(address):
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_problems_come_first(phantoms):
    phantoms.image(3).write_bytes(b"")
    phantoms.annotate(5, lambda mask: np.roll(mask, 12, 0))
    phantoms.annotate(1, np.zeros_like)
    drawn = list(contact_sheet.cards(phantoms.conclusion(), DataConfig()))
    assert [c.level for c in drawn] == ["error", "warning", "note"] + [""] * 5
    assert [c.finding.pair.image.stem[-1] for c in drawn[:3]] == ["3", "5", "1"]
    assert (drawn[0].picture, drawn[0].overlay) == ("", "")


def test_pictures_have_one_size_and_the_mask_lies_where_it_should(phantoms):
    card = list(contact_sheet.cards(phantoms.conclusion(), DataConfig()))[-1]
    picture, drawn = decoded(card.picture), decoded(card.overlay)
    assert picture.size == drawn.size == (256, 256)
    mask = np.asarray(Image.open(card.finding.pair.mask))
    np.testing.assert_array_equal(np.asarray(drawn.convert("RGBA"))[..., 3] > 0, mask > 0)


def test_an_image_is_shown_when_only_its_mask_is_bad(phantoms):
    phantoms.mask(0).write_bytes(b"no mask")
    card = next(contact_sheet.cards(phantoms.conclusion(), DataConfig()))
    assert decoded(card.picture).size == (256, 256)
    assert card.overlay == ""


def test_overlay_outlines_each_class_in_its_colour():
    mask = np.zeros((30, 30), np.uint8)
    mask[5:10, 5:10], mask[15:25, 15:25], mask[:, 28:] = 1, 2, IGNORE
    rgba = np.asarray(contact_sheet.overlay(mask, (30, 30)).convert("RGBA"))
    assert rgba[0, 0, 3] == 0
    assert rgba[7, 7, 3] < rgba[5, 5, 3] == 255
    for place, colour in (((5, 5), contact_sheet.COLOURS[0]), ((15, 15), contact_sheet.COLOURS[1])):
        assert "#" + bytes(rgba[place][:3]).hex() == colour
    np.testing.assert_array_equal(rgba[3, 29, :3], 0)


def test_names_are_escaped_and_nothing_is_loaded(phantoms, sheet):
    for path in (phantoms.image(0), phantoms.mask(0)):
        path.rename(path.with_stem("<img src=x onerror=alert(1)>&\"'"))
    page = sheet().read_text("utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;&#34;&#39;" in page
    addresses = re.findall(r'\b(?:src|href|action)="([^"]*)"', page)
    assert len(addresses) == 16  # eight images, each with its mask
    assert all(address.startswith("data:image/") for address in addresses)
    assert not re.search(r"https?://|@import|url\(", page)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_page_in_a_browser(phantoms, sheet, tmp_path):
    """Its script runs, and the filter of a concern leaves its images."""
    phantoms.annotate(5, lambda mask: np.roll(mask, 12, 0))
    page = sheet().read_text("utf-8")
    (tmp_path / "clicked.html").write_text(
        page.replace("update();\n</script>", "update(); buttons[0].click();\n</script>"), "utf-8"
    )
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", tmp_path / "clicked.html"]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
    assert ">1 of 8 images</span>" in dom
    assert len(re.findall(r'<figure class="card[^>]*hidden', dom)) == 7
