"""TLS handshakes in memory, by the standard library: do two sides accept each other?"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from tidegate.fleet.pki import KeyPair


def context(folder: Path, pair: KeyPair, authorities: bytes, *, server: bool) -> ssl.SSLContext:
    """One side of a mutually authenticated connection, as files would configure it."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(cadata=authorities.decode())
    file = folder / f"{'server' if server else 'client'}.pem"
    file.write_bytes(pair.certificate + pair.key.pem)
    made.load_cert_chain(file)
    return made


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, server_name: str) -> ssl.SSLObject:
    """The server's side once both have accepted each other. Raises ssl.SSLError when one does not."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    asking = client.wrap_bio(to_client, to_server, server_hostname=server_name)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (asking, serving):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    # In TLS 1.3 a client learns only by reading that the server refuses its certificate.
    serving.write(b"welcome")
    assert asking.read() == b"welcome"
    return serving


def identity(side: ssl.SSLObject) -> str:
    """Who the other side of a connection is, by the URI in its certificate."""
    certificate = side.getpeercert()
    assert certificate is not None
    names: Any = certificate["subjectAltName"]
    return next(str(value) for kind, value in names if kind == "URI")
