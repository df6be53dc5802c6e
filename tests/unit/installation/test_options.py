"""What an installation can choose."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate import __version__
from tidegate.errors import SettingsError
from tidegate.installation.options import Options


def test_image_is_that_of_the_version() -> None:
    """Without an image, controller and proxies run the one of the version."""
    options = Options(version="1.2.3")
    assert options.controller_image == options.data_plane_image
    assert options.controller_image.endswith("/tidegate:1.2.3")
    assert Options().controller_image.endswith(f":{__version__}")


def test_proxies_follow_the_controllers_image() -> None:
    """An image given for the controller is the proxies' too, unless they have their own."""
    assert Options(image="a/b:1").data_plane_image == "a/b:1"
    both = Options(image="a/b:1", proxy_image="a/c:2")
    assert (both.controller_image, both.data_plane_image) == ("a/b:1", "a/c:2")


@pytest.mark.parametrize(
    ("flag", "field", "value"),
    [
        ("--namespace", "namespace", "Edge"),
        ("--namespace", "namespace", "a.b"),
        ("--version", "version", ""),
        ("--version", "version", "1.0 beta"),
        ("--image", "image", "a image"),
        ("--proxy-image", "proxy_image", "-x"),
        ("--replicas", "replicas", 0),
        ("--gateway-class", "gateway_class", "my_class"),
    ],
)
def test_what_no_cluster_accepts_is_refused_by_its_flag(flag: str, field: str, value: Any) -> None:
    """The message begins with the flag, so that nobody has to look for it in the API server's answer."""
    with pytest.raises(SettingsError, match=f"^{flag} "):
        Options(**{field: value})
