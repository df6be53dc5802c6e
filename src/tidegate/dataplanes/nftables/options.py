"""What can be chosen about the kernel data plane: values from flags."""

from __future__ import annotations

import msgspec


class NftablesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``preserve_source``: backends see the client's address, and must route their answers through this host;
    else they see this host's. ``allow_route_localnet``: 127.0.0.1 may be crossed between this host and others, for
    which a sysctl of the host is changed. ``allow_shadow``: serve a port although a local process listens there, or
    the table of another instance takes it.
    """

    preserve_source: bool = False
    allow_route_localnet: bool = False
    allow_shadow: bool = False
