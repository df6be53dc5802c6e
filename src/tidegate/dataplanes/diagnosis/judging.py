"""From facts about a host to findings. Pure.

One function per matter, each of which says the level, what was found, why it matters and what to do. A rule of others
is a problem when it surely keeps connections away, and a warning when that depends on what cannot be seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from tidegate.dataplanes.diagnosis.facts import EnvoyFacts, Finding, Interface, KernelFacts, Level, Listener, Plane
from tidegate.dataplanes.diagnosis.foreignrules import UNKNOWN, Gate, Grip
from tidegate.dataplanes.nftables.nft import KNOWN_TO_WORK, NEEDS_NET_ADMIN
from tidegate.dataplanes.nftables.structure import DESTINATION_PRIORITY
from tidegate.names import WILDCARD_ADDRESS

_STRICT = 1
_ALMOST_FULL, _FULL = 0.75, 0.95
_ROOM_FOR_CONNECTIONS = 8192
_TRANSLATING = frozenset({"dnat", "redirect", "tproxy"})
_DROPPING = frozenset({"drop", "reject"})


def judge(plane: Plane, kernel: KernelFacts, envoy: EnvoyFacts, listeners: Sequence[Listener]) -> tuple[Finding, ...]:
    """All there is to say about one data plane on this host."""
    if plane is Plane.ENVOY:
        own = (program(envoy), open_files(envoy, len(listeners)), low_ports(envoy, listeners))
        return (*own, *tables(kernel), *holders(plane, listeners), *rules_of_others(plane, kernel, listeners))
    if not kernel.linux:
        return (
            _problem(plane, "system", "not Linux", "the kernel plane is Linux's nftables", "use --dataplane envoy"),
        )
    return (
        capability(kernel),
        nft(kernel),
        rules(kernel),
        *forwarding(kernel),
        rp_filter(kernel.interfaces),
        conntrack(kernel),
        route_localnet(kernel),
        *holders(plane, listeners),
        *instances(kernel),
        *rules_of_others(plane, kernel, listeners),
    )


def program(envoy: EnvoyFacts) -> Finding:
    """Whether there is an Envoy that runs."""
    if envoy.trouble:
        return _problem(
            Plane.ENVOY,
            "Envoy",
            envoy.trouble,
            "it carries the traffic",
            "install it, or give another one with --envoy PATH",
        )
    return _ok(Plane.ENVOY, "Envoy", f"version {envoy.program}")


def open_files(envoy: EnvoyFacts, listeners: int) -> Finding:
    """Whether the listeners fit, and connections beside them."""
    about, taken = "open files", listeners * envoy.workers
    found = f"hard limit {envoy.open_files}, of which {listeners} listeners on {envoy.workers} workers take {taken}"
    why = "every listener takes one per worker, every connection two"
    advice = "raise it: ulimit -Hn, or LimitNOFILE= of a systemd unit"
    if taken >= envoy.open_files:
        return _problem(Plane.ENVOY, about, found, why, advice)
    if envoy.open_files - taken < _ROOM_FOR_CONNECTIONS:
        return _warning(Plane.ENVOY, about, found, why, advice)
    return _ok(Plane.ENVOY, about, found)


def low_ports(envoy: EnvoyFacts, listeners: Iterable[Listener]) -> Finding:
    """Whether Envoy may open all ports."""
    about, lowest = "low ports", envoy.lowest_port
    if envoy.privileged:
        return _ok(Plane.ENVOY, about, "this user may open all ports")
    low = sorted({one.port for one in listeners if one.port < lowest})
    if low:
        found = f"ports below {lowest} are for the privileged; listeners want {_listed(map(str, low))}"
        advice = f"sysctl -w net.ipv4.ip_unprivileged_port_start={low[0]}, or choose other ports"
        return _problem(Plane.ENVOY, about, found, "Envoy cannot open them", advice)
    return _ok(Plane.ENVOY, about, f"ports from {lowest} may be opened")


def tables(kernel: KernelFacts) -> Iterator[Finding]:
    """Tables of the kernel plane, which come before Envoy, also those that an instance left behind."""
    for table in kernel.tables:
        found = f"the kernel plane's table {table} is there"
        why = "connections to ports of its listeners go where it says, and not to Envoy"
        if table in kernel.held:
            found += ", and an instance runs or drains by it"
            advice = "stop that instance, which removes the table once its connections have ended, or use other ports"
        else:
            advice = f"nft delete table inet {table}, which ends its connections"
        yield _warning(Plane.ENVOY, "kernel table", found, why, advice)


def capability(kernel: KernelFacts) -> Finding:
    """CAP_NET_ADMIN."""
    if kernel.net_admin:
        return _ok(Plane.NFTABLES, "capability", "CAP_NET_ADMIN")
    return _problem(
        Plane.NFTABLES,
        "capability",
        "CAP_NET_ADMIN is missing",
        "without it neither can tidegate change the kernel's rules, nor doctor see those of others",
        NEEDS_NET_ADMIN.partition(": ")[2],
    )


def nft(kernel: KernelFacts) -> Finding:
    """The program nft."""
    if kernel.nft_trouble:
        return _problem(Plane.NFTABLES, "nft", kernel.nft_trouble, "it writes the table", "install nftables")
    if _version(kernel.nft) < _version(KNOWN_TO_WORK):
        found = f"version {kernel.nft or 'unknown'}, and {KNOWN_TO_WORK} is the oldest that tidegate was tried with"
        return _warning(Plane.NFTABLES, "nft", found, "it may not understand the table", "install a newer nftables")
    return _ok(Plane.NFTABLES, "nft", f"version {kernel.nft}")


def rules(kernel: KernelFacts) -> Finding:
    """Whether the kernel takes our table."""
    about = "kernel"
    if not kernel.net_admin or kernel.nft_trouble:
        found = "cannot be seen: whether this kernel takes the rules of tidegate"
        return _warning(Plane.NFTABLES, about, found, "it needs nf_tables and some of its modules", _eyes(kernel))
    if kernel.refusal is not None:
        return _problem(
            Plane.NFTABLES,
            about,
            kernel.refusal,
            "the table cannot be made",
            "load these modules, or install that nftables",
        )
    return _ok(Plane.NFTABLES, about, "takes the rules of tidegate (tried without carrying them out)")


def forwarding(kernel: KernelFacts) -> Iterator[Finding]:
    """Whether packets may pass through this host."""
    for label, on, sysctl in (
        ("IPv4", kernel.forwards_ipv4, "net.ipv4.ip_forward=1"),
        ("IPv6", kernel.forwards_ipv6, "net.ipv6.conf.all.forwarding=1"),
    ):
        if on:
            yield _ok(Plane.NFTABLES, "forwarding", f"{label} is forwarded")
        else:
            why = f"{label} clients on other hosts are refused by backends on other hosts"
            yield _warning(Plane.NFTABLES, "forwarding", f"{label} is not forwarded", why, f"sysctl -w {sysctl}")


def rp_filter(interfaces: Sequence[Interface]) -> Finding:
    """Whether packets are dropped that come in by another way than answers would leave."""
    strict = [one.name for one in interfaces if one.rp_filter == _STRICT]
    if strict:
        return _warning(
            Plane.NFTABLES,
            "rp_filter",
            f"strict on {_listed(strict)}",
            "packets of clients or backends are dropped silently where routes are not symmetric",
            "if connections hang: sysctl -w net.ipv4.conf.all.rp_filter=2 (loose)",
        )
    return _ok(Plane.NFTABLES, "rp_filter", "not strict on any interface")


def conntrack(kernel: KernelFacts) -> Finding:
    """Whether connection tracking has room."""
    about, tracking = "conntrack", kernel.conntrack
    if tracking is None:
        return _ok(Plane.NFTABLES, about, "not in use yet; the first table brings it along")
    liberal = "1" if tracking.liberal else "0"
    found = f"{tracking.count} of {tracking.limit} entries, tcp_be_liberal={liberal}"
    why = "when it is full, new connections of the whole host are dropped"
    advice = f"sysctl -w net.netfilter.nf_conntrack_max={max(2 * tracking.limit, 262144)}"
    if tracking.count >= _FULL * tracking.limit:
        return _problem(Plane.NFTABLES, about, found, why, advice)
    if tracking.count >= _ALMOST_FULL * tracking.limit:
        return _warning(Plane.NFTABLES, about, found, why, advice)
    return _ok(Plane.NFTABLES, about, found)


def route_localnet(kernel: KernelFacts) -> Finding:
    """Whether others can reach 127.0.0.0/8."""
    about = "route_localnet"
    open_to = [one.name for one in kernel.interfaces if one.route_localnet]
    if not open_to:
        return _ok(Plane.NFTABLES, about, "off: 127.0.0.1 is not crossed between hosts")
    if kernel.guarded:
        return _ok(Plane.NFTABLES, about, f"on for {_listed(open_to)}, guarded by tidegate's own table")
    return _warning(
        Plane.NFTABLES,
        about,
        f"on for {_listed(open_to)}, and no table of tidegate guards it",
        "hosts on the same network can reach what listens on 127.0.0.1 here, unless something else forbids it",
        "sysctl -w net.ipv4.conf.all.route_localnet=0 (and that of the interfaces), unless something needs it",
    )


def holders(plane: Plane, listeners: Iterable[Listener]) -> Iterator[Finding]:
    """Local processes on the ports of listeners."""
    for one in listeners:
        if one.holder:
            found = f"{one.holder} listens on {one.port}, which is that of {one.name}"
            if plane is Plane.NFTABLES:
                why = "the kernel would take its connections away; the listener is not programmed (PortUnavailable)"
                yield _problem(plane, "port", found, why, "stop it, choose another port, or --allow-shadow")
            else:
                why = "the listener is not programmed (PortUnavailable)"
                yield _problem(plane, "port", found, why, "stop it, or choose another port")


def instances(kernel: KernelFacts) -> Iterator[Finding]:
    """Ports that two tables of ours take: each instance says that it serves them."""
    for one, other in itertools.combinations(sorted(kernel.doors), 2):
        others = kernel.doors[other]
        taken = {port for _, port in others}
        ports = {
            port
            for address, port in kernel.doors[one]
            if {(address, port), (WILDCARD_ADDRESS, port)} & others or (address == WILDCARD_ADDRESS and port in taken)
        }
        if ports:
            found = f"tables {one} and {other} both take connections to {_listed(map(str, sorted(ports)))}"
            why = "the instance whose table was made last gets them all"
            yield _problem(Plane.NFTABLES, "instances", found, why, "choose another port for one of the two")


def rules_of_others(plane: Plane, kernel: KernelFacts, listeners: Sequence[Listener]) -> Iterator[Finding]:
    """What tables of others do to connections of listeners, as far as can be seen."""
    about = "rules of others"
    if not kernel.linux:
        return
    if kernel.legacy:
        found = f"iptables-legacy has tables ({_listed(kernel.legacy)})"
        advice = "look at them with iptables-legacy-save"
        yield _warning(plane, about, found, "nft does not show their rules, so doctor cannot see them", advice)
    if kernel.gates is None or kernel.grips is None:
        found = "cannot be seen without CAP_NET_ADMIN and the program nft"
        yield _warning(plane, about, found, "a firewall may drop connections or take them", _eyes(kernel))
        return
    said = [
        *(one for grip in kernel.grips for one in _gripped(plane, grip, listeners)),
        *(one for gate in kernel.gates for one in _gated(plane, gate, kernel.grips, listeners)),
        *_opaque(plane, kernel.grips, listeners),
    ]
    yield from said
    if not said and not kernel.legacy:
        yield _ok(plane, about, _clean(listeners))


def _clean(listeners: Sequence[Listener]) -> str:
    if listeners:
        return "none is seen that takes or drops connections of the listeners"
    return "none is seen that drops everything; no listeners were given to look for: name their files"


def _eyes(kernel: KernelFacts) -> str:
    """What to do to see more."""
    return "install nftables" if kernel.net_admin and kernel.nft_trouble else "run this as root"


def _gripped(plane: Plane, grip: Grip, listeners: Iterable[Listener]) -> Iterator[Finding]:
    """Rules that name the port of a listener, or translate all."""
    names = [f"{one.name} ({one.port})" for one in listeners if grip.takes(one.port)]
    earlier = grip.gate.priority < DESTINATION_PRIORITY
    if not names or grip.gate.hook not in ("prerouting", "output", "input"):
        return
    where = f"{grip.label} (hook {grip.gate.hook}, priority {grip.gate.priority})"
    found = f"{where}: {grip.verdict} for {_listed(names)}" + (", under conditions" if grip.conditional else "")
    worse = _warning if grip.conditional else _problem
    if grip.verdict in _TRANSLATING and grip.gate.hook != "input":
        if plane is Plane.ENVOY or earlier:
            why = "connections go where that rule says, and not to tidegate"
            yield worse(plane, "translation", found, why, "remove the rule, or choose another port")
        else:
            why = f"tidegate's translation (priority {DESTINATION_PRIORITY}) comes first: that rule gets none of them"
            yield _warning(plane, "translation", found, why, "choose another port for one of the two")
    # Behind the kernel plane's translation a packet has the port of its backend.
    elif grip.verdict in _DROPPING and grip.ports is not None and (plane is Plane.ENVOY or earlier):
        yield worse(plane, "firewall", found, "clients get no answer, or a refusal", "let the port through there")


def _opaque(plane: Plane, grips: Iterable[Grip], listeners: Sequence[Listener]) -> Iterator[Finding]:
    """Rules that may drop connections of listeners, or do anything with them, of which too little can be understood."""
    dark = [
        f"{grip.label} (hook {grip.gate.hook}): {grip.verdict}, by {grip.opaque}"
        for grip in grips
        if grip.opaque
        and (grip.verdict in _DROPPING or grip.verdict == UNKNOWN)
        and _on_the_way(plane, grip, listeners)
    ]
    if dark and listeners:
        found = f"cannot be judged: {_listed(dict.fromkeys(dark))}"
        why = "these rules may drop connections of the listeners, or take them elsewhere"
        yield _warning(plane, "rules of others", found, why, "look at them: nft list ruleset, or iptables-save")


def _on_the_way(plane: Plane, grip: Grip, listeners: Iterable[Listener]) -> bool:
    """Whether connections of listeners may come to a rule that is not named elsewhere for its ports."""
    if plane is Plane.NFTABLES and grip.gate.hook == "forward":
        return True  # With the port of their backend.
    before = grip.gate.hook in ("prerouting", "output")
    if plane is Plane.NFTABLES and not (before and grip.gate.priority < DESTINATION_PRIORITY):
        return False
    named = grip.ports is not None and grip.verdict in _DROPPING
    return (before or grip.gate.hook == "input") and not named and any(grip.takes(one.port) for one in listeners)


def _gated(plane: Plane, gate: Gate, grips: Sequence[Grip], listeners: Sequence[Listener]) -> Iterator[Finding]:
    """Chains that drop what no rule accepts, or some of it: on the way to Envoy, or to backends."""
    inside = [grip for grip in grips if grip.gate == gate]
    dropping = [one for one in inside if one.verdict in _DROPPING]
    accepting = [one for one in inside if one.verdict == "accept"]
    closed = gate.drops or any(one.ports is None and not one.conditional for one in dropping)
    if plane is Plane.NFTABLES:
        yield from _before_backends(gate, accepting, [] if closed else dropping, closed=closed)
    elif closed and gate.hook == "input":
        yield from _before_envoy(gate, accepting, listeners)


def _before_backends(
    gate: Gate, accepting: Sequence[Grip], dropping: Sequence[Grip], *, closed: bool
) -> Iterator[Finding]:
    """A chain that translated connections pass. Which backends there are is not known here."""
    somewhere = {"forward": "other hosts", "input": "this host"}.get(gate.hook)
    if somewhere is None or any(one.ports is None and not one.conditional for one in accepting):
        return
    where = f"{gate.label} (hook {gate.hook}) drops"
    # What cannot be understood is named elsewhere.
    some = dict.fromkeys(_connections(one) for one in dropping if not one.opaque)
    if closed:
        unsure = "whether it accepts translated connections cannot be told"
        found = f"{where} what it does not accept, and " + (unsure if accepting else "accepts no new connection")
    elif some:
        found = f"{where} {_listed(some)}"
    else:
        return
    why = f"connections from other hosts to backends on {somewhere} pass there, with the backend's address and port"
    advice = f"let translated connections through: nft insert rule {gate.label} ct status dnat accept"
    # Backends on other hosts are the rule, and what drops everything on the way there keeps all clients from them.
    if closed and gate.hook == "forward":
        yield (_warning if accepting else _problem)(Plane.NFTABLES, "firewall", found, why, advice)
    else:
        yield _warning(Plane.NFTABLES, "firewall", found, why, f"where that hits backends, {advice}")


def _before_envoy(gate: Gate, accepting: Sequence[Grip], listeners: Iterable[Listener]) -> Iterator[Finding]:
    """A chain that connections to Envoy pass, and that drops what no rule accepts."""
    where = f"{gate.label} (hook {gate.hook}) drops what it does not accept"
    for one in listeners:
        matching = [grip for grip in accepting if grip.takes(one.port)]
        if any(not grip.conditional for grip in matching):
            continue
        found = f"{where}; {one.name} ({one.port}) is accepted " + ("under conditions" if matching else "nowhere")
        advice = f"nft insert rule {gate.label} tcp dport {one.port} accept"
        why = "clients on other hosts get no answer"
        yield (_warning if matching else _problem)(Plane.ENVOY, "firewall", found, why, advice)


def _connections(grip: Grip) -> str:
    """Which connections a rule is about."""
    ports = _listed(str(first) if first == last else f"{first}-{last}" for first, last in grip.ports or ())
    return f"{f'port {ports}' if ports else 'some'}{' under conditions' if grip.conditional else ''}"


def _ok(plane: Plane, about: str, found: str) -> Finding:
    return Finding(level=Level.OK, plane=plane, about=about, found=found)


def _warning(plane: Plane, about: str, found: str, why: str, advice: str) -> Finding:
    return Finding(level=Level.WARNING, plane=plane, about=about, found=found, why=why, advice=advice)


def _problem(plane: Plane, about: str, found: str, why: str, advice: str) -> Finding:
    return Finding(level=Level.PROBLEM, plane=plane, about=about, found=found, why=why, advice=advice)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _listed(names: Iterable[str], most: int = 5) -> str:
    """Names with commas, the first few of many."""
    all_names = list(names)
    more = f" and {len(all_names) - most} more" if len(all_names) > most else ""
    return ", ".join(all_names[:most]) + more
