r"""The scalar types of the API: length, range and pattern, as the CRDs and Kubernetes itself state them.

Comes in: nothing. Goes out: annotated ``str`` and ``int`` types for the fields of the classes in this
package. ``msgspec`` enforces them while it decodes; ``model.validation`` reads the same annotations to
say what would be right (``extra["must"]``, ``extra["choices"]``). Rules over several fields are there.

A pattern is an unanchored search, as in the CRDs, so anchors stand only where the CRDs have them. The
CRDs' ``$`` is ``\Z`` here: Python's ``$`` would let a trailing line feed pass.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]\Z"
_ANY_CASE_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+\Z"

_LABEL_WORDS = "must be lower-case letters, digits and '-', with a letter or digit at both ends"
_SUBDOMAIN_WORDS = "must be lower-case letters, digits, '-' and '.', each part with a letter or digit at both ends"
_KEY_WORDS = (
    "must be a name of up to 63 letters, digits, '-', '_' and '.', optionally after a DNS prefix and '/', "
    "such as 'example.com/role'"
)


def text(must: str, *, pattern: str, low: int = 0, high: int | None = None) -> Meta:
    """A text with ``low`` to ``high`` characters in which ``pattern`` is found; ``must`` says so in words."""
    return Meta(min_length=low or None, max_length=high, pattern=pattern, extra={"must": must})


def choice(*values: str, zero_is_absent: bool = False) -> Meta:
    """One of a few texts. ``zero_is_absent``: as for Kubernetes' own kinds, ``""`` asks for the default."""
    pattern = rf"^({'|'.join(values)})\Z"
    return Meta(pattern=pattern, extra={"choices": values, "zero_is_absent": zero_is_absent})


ZERO_IS_ABSENT = Meta(extra={"zero_is_absent": True})
"""For fields of Kubernetes' own kinds, where ``""`` and ``0`` mean the same as leaving the field out."""

NULL_IS_EMPTY = Meta(extra={"null_is_empty": True})
"""For values in ``metadata``, where the API server reads null as the empty text."""

# Gateway API (apis/v1/shared_types.go).
Group = Annotated[
    str, text(f"{_SUBDOMAIN_WORDS} (or empty for the core group)", pattern=rf"^\Z|^{_SUBDOMAIN}\Z", high=253)
]
KindName = Annotated[
    str,
    text(
        "must be letters, digits and '-', starting with a letter",
        pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z",
        low=1,
        high=63,
    ),
]
ObjectName = Annotated[str, Meta(min_length=1, max_length=253)]
NamespaceName = Annotated[str, text(_LABEL_WORDS, pattern=rf"^{_LABEL}\Z", low=1, high=63)]
SectionName = Annotated[str, text(_SUBDOMAIN_WORDS, pattern=rf"^{_SUBDOMAIN}\Z", low=1, high=253)]
Hostname = Annotated[
    str,
    text(
        "must be a host name in lower case, such as 'www.example.com' or '*.example.com'",
        pattern=rf"^(\*\.)?{_SUBDOMAIN}\Z",
        low=1,
        high=253,
    ),
]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]
ControllerName = Annotated[
    str,
    text(
        "must be a domain and a path, such as 'example.com/gateway-controller'",
        pattern=rf"^{_SUBDOMAIN}/{_PATH}",
        low=1,
        high=253,
    ),
]
# The CRD leaves the second branch open at its start and without '-' after the slash.
ProtocolType = Annotated[
    str,
    text(
        "must be a protocol such as 'TCP', or a domain and a word, such as 'example.com/proto'",
        pattern=rf"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z|{_SUBDOMAIN}/[A-Za-z0-9]+\Z",
        low=1,
        high=255,
    ),
]
# The CRD anchors only the outermost branches, so that 'HostnameX' passes.
AddressType = Annotated[
    str,
    text(
        "must be IPAddress, Hostname, NamedAddress, or a domain and a path, such as 'example.com/pool'",
        pattern=rf"^Hostname|IPAddress|NamedAddress|{_SUBDOMAIN}/{_PATH}",
        low=1,
        high=253,
    ),
]
AnnotationValue = Annotated[str, Meta(max_length=4096)]
LabelValue = Annotated[
    str,
    text(
        "must be empty, or letters, digits, '-', '_' and '.', with a letter or digit at both ends",
        pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z",
        high=63,
    ),
]
InfrastructureKey = Annotated[str, text(_KEY_WORDS, pattern=rf"^((?=[^/]{{1,252}}/){_SUBDOMAIN}/)?{_QUALIFIED}")]

# Kubernetes itself (apimachinery/pkg/util/validation).
DnsSubdomain = Annotated[str, text(_SUBDOMAIN_WORDS, pattern=rf"^{_SUBDOMAIN}\Z", low=1, high=253)]
DnsLabel = Annotated[str, text(_LABEL_WORDS, pattern=rf"^{_LABEL}\Z", low=1, high=63)]
OptionalDnsLabel = Annotated[str, text(_LABEL_WORDS, pattern=rf"^({_LABEL})?\Z", high=63)]
LabelKey = Annotated[str, text(_KEY_WORDS, pattern=rf"^((?=[^/]{{1,253}}/){_SUBDOMAIN}/)?{_QUALIFIED}")]
AnnotationKey = Annotated[
    str,
    text(
        _KEY_WORDS,
        pattern=rf"^((?=[^/]{{1,253}}/){_ANY_CASE_LABEL}(\.{_ANY_CASE_LABEL})*/)?{_QUALIFIED}",
    ),
]
PortName = Annotated[
    str,
    text(
        "must be up to 15 lower-case letters, digits and single '-', with at least one letter",
        pattern=r"^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*\Z",
        low=1,
        high=15,
    ),
]
Transport = Annotated[str, choice("TCP", "UDP", "SCTP", zero_is_absent=True)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
# The API server takes a number, or such a text (apimachinery/pkg/api/resource/quantity.go).
_DECIMAL = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"
Quantity = (
    Int64
    | Annotated[
        str,
        text(
            "must be an amount such as '500m', '0.5' or '64Mi'",
            pattern=rf"^[-+]?{_DECIMAL}([KMGTPE]i|[numkMGTPE]|[eE][-+]?{_DECIMAL})?\Z",
        ),
    ]
)
