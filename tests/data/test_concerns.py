"""A clean set of phantoms, and the same broken in one way at a time."""

import re
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw

TRAIN = "train/images/phantom_{:03}.tif".format


def only(told):
    """Return the one title and its evidence."""
    assert len(told) == 1, told
    return next(iter(told.items()))


def test_a_clean_set_has_neither_errors_nor_warnings(phantoms):
    conclusion = phantoms.conclusion()
    assert {c.level for c in conclusion.concerns} == {"note"}
    assert [c.title for c in conclusion.concerns] == [
        "bit depths differ, uint16 (6), uint8 (2): each image is normalised by itself, so all are used"
    ]
    assert not conclusion.failed
    assert conclusion.verdict == "8 annotated images: fit to train on"
    assert conclusion.summary["images"] == "8 (6 train, 2 test)"
    assert conclusion.summary["pixel size"] == "200 nm"


def test_one_bad_file_is_an_error_and_the_rest_is_still_seen(phantoms):
    phantoms.image(1).write_bytes(phantoms.image(1).read_bytes()[:3000])
    conclusion = phantoms.conclusion()
    assert conclusion.failed
    assert conclusion.verdict == "8 annotated images: not fit to train on, see the error"
    assert conclusion.summary["sizes"] == "256x256"
    title, evidence = only(phantoms.told("error"))
    assert title == "1 of 8 annotated images cannot be used: mend or remove them"
    assert evidence[TRAIN(1)].startswith("phantom_001.tif is truncated")


def test_a_copy_in_test_is_an_error(phantoms):
    shutil.copy(phantoms.image(2), phantoms.image(1, "test"))
    title, evidence = only(phantoms.told("error"))
    assert "2 images are in both train and test" in title
    assert evidence == {
        "test/images/phantom_001.tif": f"same pixels as {TRAIN(2)}",
        TRAIN(2): "same pixels as test/images/phantom_001.tif",
    }


def test_an_image_saved_anew_in_test_is_an_error(phantoms):
    pixels = tifffile.imread(phantoms.image(0))
    place = phantoms.image(0, "test").with_suffix(".jpg")
    phantoms.image(0, "test").unlink()
    Image.fromarray((pixels[2:, 2:] >> 8).astype(np.uint8)).resize((256, 256)).save(place, quality=70)
    _, evidence = only(phantoms.told("error"))
    assert evidence["test/images/phantom_000.jpg"] == f"nearly the same as {TRAIN(0)}"


def test_copies_within_train_are_a_warning_and_near_ones_a_note(phantoms):
    shutil.copy(phantoms.image(0), phantoms.image(1))
    phantoms.draw(4, lambda _: tifffile.imread(phantoms.image(3)) // 2)
    told = phantoms.told("warning")
    copies = next(evidence for title, evidence in told.items() if "more than once" in title)
    assert copies[TRAIN(0)] == f"same pixels as {TRAIN(1)}; their masks differ"
    near = next(e for title, e in phantoms.told("note").items() if "nearly the same" in title)
    assert set(near) == {TRAIN(3), TRAIN(4)}
    assert phantoms.told("error") == {}


def test_swapped_masks_are_a_warning(phantoms):
    first, second = phantoms.mask(0).read_bytes(), phantoms.mask(3).read_bytes()
    phantoms.mask(0).write_bytes(second)
    phantoms.mask(3).write_bytes(first)
    title, evidence = only(phantoms.told("warning"))
    assert title == "masks seem to belong to other images: look at them"
    assert set(evidence) == {TRAIN(0), TRAIN(3)}
    assert evidence[TRAIN(0)].startswith(f"the mask of {TRAIN(3)} fits better: ")


def test_a_shifted_mask_is_a_warning(phantoms):
    phantoms.annotate(4, lambda mask: np.roll(mask, (-10, 12), (0, 1)))
    title, evidence = only(phantoms.told("warning"))
    assert title == "masks seem to be shifted against their images: look at them"
    found = re.fullmatch(r"mask fits (\d+) px further down and (\d+) px further left better: .*", evidence[TRAIN(4)])
    assert [int(n) for n in found.groups()] == pytest.approx([10, 12], abs=1)


def test_a_data_bar_is_a_warning_with_its_remedy(phantoms):
    def burn(pixels):
        bar = Image.new("L", (256, 59))
        ImageDraw.Draw(bar).text((5, 20), "5.0 kV  x2,500  WD 8.0 mm", fill=255)
        return np.vstack([pixels[:197], np.asarray(bar).astype(pixels.dtype) * 200])

    phantoms.draw(0, burn)
    title, evidence = only(phantoms.told("warning"))
    remedy = "pass --data-bar 59, which cuts every image, or crop these"
    assert title == f"1 image of 8 seems to have a data bar of 59 rows: {remedy}"
    assert evidence == {TRAIN(0): "rows 197 to 255 look like a data bar"}


def test_saturation_is_a_warning(phantoms):
    phantoms.draw(2, lambda pixels: np.minimum(pixels.astype(int) * 2, 255).astype(np.uint8))
    title, evidence = only(phantoms.told("warning"))
    assert "1 image is saturated" in title
    assert evidence[TRAIN(2)].endswith("of the pixels are at 255")


def test_no_foreground_at_all_is_an_error_and_one_empty_mask_a_note(phantoms):
    phantoms.annotate(0, np.zeros_like)
    assert phantoms.told("error") == {}
    empty = next(e for title, e in phantoms.told("note").items() if "1 of 8 masks hold no foreground" in title)
    assert set(empty) == {TRAIN(0)}
    for number in range(6):
        phantoms.annotate(number, np.zeros_like)
    assert "no mask to train on holds any cell: there is nothing to learn" in phantoms.told("error")


def test_a_class_without_a_pixel_is_a_warning(phantoms):
    title, _ = only(phantoms.told("warning", data__classes=("background", "cell", "ice")))
    assert title == "no mask to train on holds any ice: it cannot be learned"


def test_pixel_sizes_that_differ_or_are_missing(phantoms):
    pixels = tifffile.imread(phantoms.image(0))
    tifffile.imwrite(phantoms.image(0), pixels, imagej=True, resolution=(10, 10), metadata={"unit": "um"})
    assert (
        "pixel sizes differ, 100 to 200 nm: images are resampled to one, 200 nm unless objects are large"
        in phantoms.told("note")
    )
    tifffile.imwrite(phantoms.image(0), pixels)
    title, evidence = only(phantoms.told("warning"))
    assert title == "1 of 8 images have no pixel size, so none is used: pass --pixel-size"
    assert set(evidence) == {TRAIN(0)}


@pytest.mark.parametrize(("patch", "small"), [(None, [3]), (96, []), (256, [3]), (272, range(6))])
def test_images_smaller_than_the_patch_are_named(phantoms, patch, small):
    """Of five images of 256 px and one of 100, fit takes patches of 128."""
    phantoms.draw(3, lambda pixels: pixels[:100, :100])
    phantoms.annotate(3, lambda mask: mask[:100, :100])
    told = {t: set(e) for t, e in phantoms.told("note", data__patch=patch).items() if "smaller than the patch" in t}
    assert set().union(*told.values()) == {TRAIN(number) for number in small}
    assert all(f"the patch of {patch or 128} px" in title for title in told)


def test_groups_in_both_train_and_test_are_a_warning(phantoms):
    rows = [f"train/images/phantom_{i:03}.tif,grid{i // 3}" for i in range(6)]
    rows += ["test/images/phantom_000.tif,grid1", "test/images/phantom_001.tif,grid2"]
    (phantoms.root / "groups.csv").write_text("\n".join(["image,group", *rows]))
    title, evidence = only(phantoms.told("warning"))
    assert title.startswith("4 images are of groups that are in both train and test")
    assert evidence == dict.fromkeys([*map(TRAIN, (3, 4, 5)), "test/images/phantom_000.tif"], "of group grid1")
    assert phantoms.conclusion().summary["groups"] == "3, from groups.csv"


def test_one_image_is_too_few(phantoms):
    for number in range(1, 6):
        phantoms.image(number).unlink()
        phantoms.mask(number).unlink()
    assert "fit needs at least 2 annotated images" in str(phantoms.told("note"))
    assert "sound, but too few" in phantoms.conclusion().verdict


def test_a_pixel_size_far_from_the_others_is_a_warning(phantoms):
    pixels = tifffile.imread(phantoms.image(2))
    tifffile.imwrite(phantoms.image(2), pixels, imagej=True, resolution=(5000, 5000), metadata={"unit": "um"})
    title, evidence = only(phantoms.told("warning"))
    assert title == "pixel sizes far from the others, 200 nm: are they right?"
    assert evidence == {TRAIN(2): "0.2 nm"}


def test_exchanged_values_in_masks_are_a_warning(phantoms):
    for number in range(6):
        phantoms.annotate(number, lambda mask: 1 - mask)
    shutil.rmtree(phantoms.root / "test")
    assert any("0 and 1 exchanged" in title for title in phantoms.told("warning"))
