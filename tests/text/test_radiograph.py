import numpy as np
import pytest
from PIL import Image

from mmlib.text.radiograph import ZONES, measure_xray, read_image
from tests.drawings import draw_xray


def measured(**options):
    return measure_xray(Image.fromarray(draw_xray(**options)))


@pytest.mark.parametrize("heart", [0.35, 0.45, 0.55, 0.65])
@pytest.mark.parametrize("options", [{}, {"air": False}, {"size": 500, "noise": 0.05}], ids=str)
def test_the_heart_is_as_wide_as_drawn(heart, options):
    assert measured(heart=heart, **options)["ratio"] == pytest.approx(heart, abs=0.04)


@pytest.mark.parametrize("zone", ZONES)
def test_an_opacity_is_found_in_its_zone(zone):
    clear, ill = measured(), measured(opacity={zone: 0.9})
    rise = {z: ill[z] - clear[z] for z in ZONES}
    assert max(rise, key=rise.get) == zone
    assert rise[zone] >= 20
    assert all(abs(rise[z]) <= 15 for z in ZONES if z != zone)
    assert measured(opacity={zone: 0.3})[zone] < ill[zone]


def test_fluid_at_a_base_takes_from_the_lung_and_fills_the_lower_zone():
    clear, ill = measured(), measured(effusion="left")
    assert ill["left_lower"] > clear["left_lower"] + 30
    assert ill["right_share"] > clear["right_share"] + 3
    assert ill["lung_area"] < clear["lung_area"]
    assert ill["ratio"] == pytest.approx(clear["ratio"], abs=0.04)


def test_exposure_and_depth_of_grey_change_little():
    picture = draw_xray(opacity={"right_middle": 0.8})
    bright = Image.fromarray((60 + picture * 0.7).astype(np.uint8))
    deep = Image.fromarray(picture.astype(np.uint16) * 200)
    colour = Image.fromarray(picture).convert("RGB")
    expected = measure_xray(Image.fromarray(picture))
    for image in (bright, deep, colour):
        found = measure_xray(image)
        assert {
            k: abs(found[k] - expected[k]) <= (5 if k != "ratio" else 0.02) for k in found
        } == dict.fromkeys(found, True)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((300, 300), np.uint8),
        np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8),
        np.tile(np.arange(256, dtype=np.uint8), (256, 1)),
        np.full((20, 900), 128, np.uint8),
    ],
    ids=["black", "noise", "ramp", "strip"],
)
def test_a_picture_without_lungs_has_no_numbers(picture):
    assert all(np.isnan(v) for v in measure_xray(Image.fromarray(picture)).values())


def test_a_picture_that_cannot_be_decoded_is_one_sentence(tmp_path):
    file = tmp_path / "x.jpg"
    Image.fromarray(draw_xray()).save(file)
    assert read_image(file).size == (320, 320)
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"hello"):
        file.write_bytes(content)
        with pytest.raises(OSError, match="x.jpg could not be read as a picture") as error:
            read_image(file)
        assert "\n" not in str(error.value)
