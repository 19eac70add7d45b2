"""
The log lines of a node: what happened, once for each call's end and each change of state.
"""

from __future__ import annotations

from twisted.logger import Logger

from bmff.events import (
    BridgeEnded,
    BridgeMoved,
    BridgeStarted,
    CallEnded,
    CallRefused,
    CallStarted,
    DuplicateNodeSeen,
    DuplicatePeerSeen,
    Event,
    LinkEnded,
    LinkStarted,
    LoginRefused,
    NodeUnreachable,
    OptionsNotUnderstood,
    PathChanged,
    PathEnded,
    PathFailed,
    PeerLost,
    PeerMoved,
    PeerRegistered,
    SubscriptionChanged,
    UplinkEnded,
    UplinkRefused,
    UplinkStarted,
)


class Journal:
    """
    Watches the events of one node and writes what an operator wants to read.
    """

    _log = Logger()

    def __init__(self, node: int) -> None:
        """
        @param node: the node ID, named in each line since a host may run many.
        """
        self._node = node

    def __call__(self, event: Event) -> None:
        """
        Write the line of an event, if it has one.
        """
        match event:
            case PeerRegistered():
                self._log.info(
                    "{node}: peer {peer} {callsign} is here, at {address}",
                    node=self._node,
                    peer=event.peer,
                    callsign=event.callsign,
                    address=event.address,
                )
            case PeerLost():
                self._log.info(
                    "{node}: peer {peer} {callsign} is gone: {reason}",
                    node=self._node,
                    peer=event.peer,
                    callsign=event.callsign,
                    reason=event.reason,
                )
            case LoginRefused():
                self._log.warn(
                    "{node}: peer {peer} at {address} refused: {reason}",
                    node=self._node,
                    peer=event.peer,
                    address=event.address,
                    reason=event.reason,
                )
            case SubscriptionChanged():
                self._log.info(
                    "{node}: peer {peer} slot {slot} hears {talkgroups}",
                    node=self._node,
                    peer=event.peer,
                    slot=event.slot,
                    talkgroups=_talkgroups(event),
                    static=event.static,
                    dynamic=event.dynamic,
                )
            case CallEnded():
                self._callEnded(event)
            case CallRefused():
                self._log.info(
                    "{node}: call from {source} to {kind} {destination} by peer {peer} refused: "
                    "{reason}",
                    node=self._node,
                    source=event.source,
                    kind="radio" if event.private else "talkgroup",
                    destination=event.destination,
                    peer=event.peer,
                    reason=event.reason,
                )
            case PeerMoved() | DuplicatePeerSeen() | OptionsNotUnderstood():
                self._peerOdd(event)
            case BridgeStarted() | BridgeMoved() | BridgeEnded():
                self._bridgeChanged(event)
            case UplinkStarted() | UplinkEnded() | UplinkRefused():
                self._uplinkChanged(event)
            case _:
                self._clusterChanged(event)

    def _peerOdd(self, event: PeerMoved | DuplicatePeerSeen | OptionsNotUnderstood) -> None:
        match event:
            case PeerMoved():
                self._log.info(
                    "{node}: peer {peer} {callsign} has moved to {address}",
                    node=self._node,
                    peer=event.peer,
                    callsign=event.callsign,
                    address=event.address,
                )
            case DuplicatePeerSeen():
                self._log.warn(
                    "{node}: peer {peer} {callsign} moves to and fro, now at {address}: two "
                    "hotspots seem to use one ID",
                    node=self._node,
                    peer=event.peer,
                    callsign=event.callsign,
                    address=event.address,
                )
            case OptionsNotUnderstood():
                self._log.warn(
                    "{node}: peer {peer}: options not understood: {text}",
                    node=self._node,
                    peer=event.peer,
                    text=event.text,
                )

    def _bridgeChanged(self, event: BridgeStarted | BridgeMoved | BridgeEnded) -> None:
        match event:
            case BridgeStarted():
                self._log.info(
                    "{node}: bridge {name} is up, to {address}, its calls are by peer {peer}",
                    node=self._node,
                    name=event.name,
                    address=event.address,
                    peer=event.peer,
                )
            case BridgeMoved():
                self._log.info(
                    "{node}: bridge {name} has moved to {address}",
                    node=self._node,
                    name=event.name,
                    address=event.address,
                )
            case BridgeEnded():
                self._log.warn(
                    "{node}: bridge {name} is down: {reason}",
                    node=self._node,
                    name=event.name,
                    reason=event.reason,
                )

    def _uplinkChanged(self, event: UplinkStarted | UplinkEnded | UplinkRefused) -> None:
        match event:
            case UplinkStarted():
                self._log.info(
                    "{node}: uplink {name} is logged in at {address}, its calls are by peer {peer}",
                    node=self._node,
                    name=event.name,
                    address=event.address,
                    peer=event.peer,
                )
            case UplinkEnded():
                self._log.warn(
                    "{node}: uplink {name} is logged in no longer: {reason}",
                    node=self._node,
                    name=event.name,
                    reason=event.reason,
                )
            case UplinkRefused():
                self._log.warn(
                    "{node}: uplink {name} cannot log in at {address}: {reason}",
                    node=self._node,
                    name=event.name,
                    address=event.address or "any master",
                    reason=event.reason,
                )

    def _clusterChanged(self, event: Event) -> None:
        match event:
            case LinkStarted():
                self._log.info(
                    "{node}: link to node {other} is up, over {transport} to {address}",
                    node=self._node,
                    other=event.node,
                    transport=event.transport,
                    address=event.address,
                )
            case LinkEnded():
                self._log.warn(
                    "{node}: link to node {other} is down: {reason}",
                    node=self._node,
                    other=event.node,
                    reason=event.reason,
                )
            case PathChanged():
                self._log.info(
                    "{node}: link to node {other} now runs over {transport} to {address}",
                    node=self._node,
                    other=event.node,
                    transport=event.transport,
                    address=event.address,
                )
            case NodeUnreachable():
                self._log.warn(
                    "{node}: node {other} cannot be reached over {transport}: {reason}",
                    node=self._node,
                    other=event.node,
                    transport=event.transport,
                    reason=event.reason,
                )
            case PathFailed():
                self._log.warn(
                    "{node}: link to node {other} cannot have a path over {transport}: {reason}",
                    node=self._node,
                    other=event.node,
                    transport=event.transport,
                    reason=event.reason,
                )
            case PathEnded():
                self._log.info(
                    "{node}: link to node {other} has lost its path over {transport}: {reason}",
                    node=self._node,
                    other=event.node,
                    transport=event.transport,
                    reason=event.reason,
                )
            case DuplicateNodeSeen():
                self._log.error(
                    "{node}: somebody at {address} uses the ID of node {other}, which is linked",
                    node=self._node,
                    other=event.node,
                    address=event.address,
                )
            case _:
                pass

    def watcherFailed(self, event: Event, error: Exception) -> None:
        """
        Write what a watcher of events raised; to be called inside the C{except}.
        """
        self._log.failure(
            "{node}: a watcher failed on {event}", node=self._node, event=type(event).__name__
        )

    def _callEnded(self, event: CallEnded) -> None:
        expected = event.frames + event.lost
        self._log.info(
            "{node}: call {streamID:08x} {source} > {kind} {destination} by {peer} slot {slot}: "
            "{duration:.1f} s, {frames} frames, {percent:.1f} % lost, ended by {reason}",
            node=self._node,
            streamID=event.stream,
            source=event.source,
            kind=kindOfCall(event),
            destination=event.destination,
            peer=event.peer,
            slot=event.slot,
            duration=event.duration,
            frames=event.frames,
            lost=event.lost,
            percent=100.0 * event.lost / expected if expected else 0.0,
            duplicates=event.duplicates,
            late=event.late,
            reason=event.reason,
        )


def kindOfCall(call: CallStarted | CallEnded) -> str:
    """
    The word for a call's kind: C{"TG"}, C{"radio"}, C{"data to TG"}, C{"data to radio"}.
    """
    target = "radio" if call.private else "TG"
    return f"data to {target}" if call.data else target


def _talkgroups(event: SubscriptionChanged) -> str:
    parts = []
    if event.static:
        parts.append(", ".join(map(str, event.static)))
    if event.dynamic:
        parts.append(", ".join(map(str, event.dynamic)) + " (keyed)")
    return " and ".join(parts) or "nothing"
