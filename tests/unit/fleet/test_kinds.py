"""The generated kinds say how they are called, in objects and in paths."""

from tidegate.fleet.kinds import DEPLOYMENT, GENERATED, KIND_OF, SECRET
from tidegate.names import ObjectKey


def test_key_of_an_object() -> None:
    """An object's identity has the group, not the version."""
    assert DEPLOYMENT.key("shop", "public") == ObjectKey("apps", "Deployment", "shop", "public")
    assert SECRET.key("shop", "public") == ObjectKey("", "Secret", "shop", "public")


def test_kind_is_found_by_the_key() -> None:
    """Every kind is found again from the identity of one of its objects."""
    for kind in GENERATED:
        key = kind.key("shop", "public")
        assert KIND_OF[key.group, key.kind] is kind
