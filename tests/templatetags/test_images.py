"""Small pictures in what tools give back."""

import base64
import json

import pytest

from sessions.templatetags.images import MOST, small_images

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def test_a_data_url_is_a_picture():
    (image,) = small_images(f"before data:image/png;base64,{PIXEL} after")
    assert image.url == f"data:image/png;base64,{PIXEL}"
    assert image.words == "PNG picture, 70\u202fB"


def test_a_content_block_is_a_picture():
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    assert len(small_images(json.dumps([{"type": "image", "source": source}]))) == 1


@pytest.mark.parametrize(
    "text",
    [
        None,
        "words",
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg onload=alert(1)>" * 3).decode(),
        "data:image/png;base64," + base64.b64encode(b"<script>alert(1)</script>").decode(),
        "data:image/png;base64,not*base64*at*all*****",
        f"data:text/html;base64,{PIXEL}",
        f"data:image/png;base64,{PIXEL}" + " " * 20_000,
    ],
)
def test_what_is_no_small_picture_is_not_shown_as_one(text):
    assert small_images(text) == []


def test_no_more_than_a_few():
    assert len(small_images(f"data:image/png;base64,{PIXEL} " * 20)) == MOST
