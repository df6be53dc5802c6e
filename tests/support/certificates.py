"""Certificates as a cluster's controller would issue them, for as long or as short as a test needs."""

from __future__ import annotations

import datetime as dt

from tidegate.dataplanes.envoy.credentials import ServerCredentials
from tidegate.fleet import pki
from tidegate.fleet.pki import KeyPair
from tidegate.names import CONTROLLER_IDENTITY, proxy_identity

SERVER_NAME = "tidegate.tidegate-system.svc"
"""The name of the control plane's Service, in the certificates of all replicas."""

DAY = dt.timedelta(days=1)


class Issuer:
    """An authority of its own. Whoever trusts another one trusts none of its certificates."""

    def __init__(self) -> None:
        self._authority = pki.new_authority(now=dt.datetime.now(dt.UTC), lifetime=DAY)

    @property
    def authorities(self) -> bytes:
        """What to trust."""
        return self._authority.certificate

    def pair(self, identity: str, *, lifetime: dt.timedelta = DAY, dns_names: tuple[str, ...] = ()) -> KeyPair:
        """A certificate for anybody; a negative lifetime ended already."""
        now = dt.datetime.now(dt.UTC)
        return pki.issue(self._authority, identity=identity, dns_names=dns_names, now=now, lifetime=lifetime)

    def proxy(self, scope: str, *, lifetime: dt.timedelta = DAY) -> KeyPair:
        """A certificate for the proxies of a Gateway."""
        return self.pair(proxy_identity(scope), lifetime=lifetime)

    def server(self, *, lifetime: dt.timedelta = DAY) -> ServerCredentials:
        """What a replica of the controller has."""
        pair = self.pair(CONTROLLER_IDENTITY, lifetime=lifetime, dns_names=(SERVER_NAME,))
        return ServerCredentials(certificate=pair.certificate, key=pair.key.pem, authorities=self.authorities)
