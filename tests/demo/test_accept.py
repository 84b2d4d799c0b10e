"""Accept headers as DICOMweb clients send them."""

from __future__ import annotations

import pytest
from fhircast_demo.images.accept import parse_accept


def test_quoted_parameters_and_syntax() -> None:
    (one,) = parse_accept('multipart/related; type="application/dicom"; transfer-syntax=*')
    assert (one.inner_type, one.transfer_syntax) == ("application/dicom", "*")
    assert one.covers_part("application/dicom")
    assert not one.covers_part("image/jp2")
    assert not one.covers("application/dicom")


def test_preference_decides() -> None:
    ranges = parse_accept("image/png;q=0.5, image/jpeg, image/webp;q=0, text/html;q=oops")
    assert [one.media_type for one in ranges] == ["image/jpeg", "image/png"]


@pytest.mark.parametrize("header", ["", "*/*", "image/*", "text/html,image/*;q=0.8"])
def test_wildcards_cover(header: str) -> None:
    assert any(one.covers("image/png") for one in parse_accept(header))


def test_comma_inside_quotes_separates_nothing() -> None:
    (one,) = parse_accept('multipart/related; type="a/b,c/d"')
    assert one.inner_type == "a/b,c/d"
