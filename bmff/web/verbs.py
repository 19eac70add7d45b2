"""
What can be done to a node by hand, beside steering its links (L{bmff.web.steering}).
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from bmff.dmr.numbers import isService
from bmff.errors import ConfigurationError
from bmff.ibmff import OverrideRow, RegistryUnavailable
from bmff.web.orders import Orders, OrdersFull
from bmff.web.parts import Logins, Parts
from bmff.web.resource import Refused

LOOK: Final = 0.5  # seconds between two looks at who has ended its call, while the node is emptied
_OVERRIDES: Final = "overrides"


class Verbs:
    """
    Does what an operator asks for. Each takes the body of an order, which is as its schema says,
    and gives the answer.
    """

    _log = Logger()

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._looking: IDelayedCall | None = None
        if parts.orders is not None:
            parts.orders.mayStay = self._inCall

    def stop(self) -> None:
        """
        Look after nobody any more.
        """
        if self._looking is not None and self._looking.active():
            self._looking.cancel()
        self._looking = None

    async def drain(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        Let nobody in any more, and say good-bye to each peer when its call has ended.
        """
        orders, homebrew = self._logins()
        orders.draining = True
        self._log.info("the node is emptied: nobody new may log in")
        homebrew.reviewAccess()
        if self._looking is None:
            self._looking = self._parts.clock.callLater(LOOK, self._look)
        return self._drained(orders, homebrew)

    async def undrain(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        Let everybody in again.
        """
        orders, homebrew = self._logins()
        orders.draining = False
        self._log.info("the node is emptied no longer")
        self.stop()
        return self._drained(orders, homebrew)

    async def reload(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        Read the configuration file again, and use what can be used at once.

        @raise Refused: it has mistakes, or cannot be read again.
        """
        if self._parts.reload is None:
            raise Refused(503, "this node cannot read its file again")
        try:
            done = self._parts.reload()
        except ConfigurationError as error:
            raise Refused(409, str(error)) from None
        return {"reload": {"applied": list(done.applied), "waiting": list(done.waiting)}}

    async def disconnect(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        Say good-bye to a peer, which comes back in 10 s as a rule.

        @raise Refused: it is not here.
        """
        orders, homebrew = self._logins()
        peer = order["peer"]
        if homebrew.master.session(peer) is None:
            raise Refused(404, f"no peer {peer} is here")
        orders.sendAway(
            peer, order.get("reason") or "sent away by the operator", homebrew.reviewAccess
        )
        return {"peer": {"id": peer, "here": homebrew.master.session(peer) is not None}}

    async def ban(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        Say good-bye to a peer, and do not let it in again.
        """
        orders, homebrew = self._logins()
        peer = order["peer"]
        try:
            orders.ban(peer, order.get("reason") or "banned by the operator")
        except OrdersFull as error:
            raise Refused(409, str(error)) from None
        homebrew.reviewAccess()
        return {"peer": {"id": peer, "here": homebrew.master.session(peer) is not None}}

    async def unban(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        Let a peer in again.

        @raise Refused: it was not banned by hand.
        """
        orders, homebrew = self._logins()
        peer = order["peer"]
        if orders.banned.pop(peer, None) is None:
            raise Refused(404, f"peer {peer} is not banned by hand")
        return {"peer": {"id": peer, "here": homebrew.master.session(peer) is not None}}

    async def setTalkgroups(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        Set what the slots of a peer hear always, in place of what the configuration says.
        """
        orders, homebrew = self._logins()
        peer = order["peer"]
        for slot in (1, 2):
            talkgroups = order.get(f"slot{slot}")
            for talkgroup in talkgroups or ():
                if isService(talkgroup):
                    raise Refused(409, f"{talkgroup} is reserved for services")
        try:
            for slot in (1, 2):
                if f"slot{slot}" in order:
                    talkgroups = order[f"slot{slot}"]
                    chosen = None if talkgroups is None else tuple(dict.fromkeys(talkgroups))
                    orders.setStatic(peer, slot, chosen)
        except OrdersFull as error:
            raise Refused(409, str(error)) from None
        homebrew.reviewAccess()
        settings = orders.settings(peer)
        return {
            "peer": {
                "id": peer,
                "here": homebrew.master.session(peer) is not None,
                "slot1": list(settings.slot1),
                "slot2": list(settings.slot2),
            }
        }

    async def override(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        Say how a node is reached by those who read the registry, or take that back.

        @raise Refused: it cannot be written.
        """
        registry = self._parts.registry
        if registry is None:
            raise Refused(409, "this node has no links to others")
        node, transport = order["node"], order["transport"]
        try:
            if transport is None:
                await registry.remove(_OVERRIDES, node)
            else:
                row = OverrideRow(
                    node,
                    order.get("key") or 0,
                    transport,
                    order.get("address", ""),
                    order.get("port", 0),
                )
                await registry.put(row)
        except ConfigurationError as error:
            raise Refused(409, str(error)) from None
        except RegistryUnavailable as error:
            raise Refused(503, f"the registry cannot be written: {error.reason}") from None
        return {"override": {"node": node, "transport": transport}}

    async def drop(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        End a call.

        @raise Refused: it is not there.
        """
        end = self._parts.drop
        if end is None:
            raise Refused(503, "this node cannot end calls by hand")
        stream = int(order["stream"], 16)
        source = order.get("source")
        calls = [
            call
            for call in self._parts.router.currentCalls()
            if call.stream == stream and source in {None, call.source}
        ]
        if not calls:
            raise Refused(404, f"no call {stream:08x} is on")
        for call in calls:
            end(call)
        return {"dropped": {"stream": f"{stream:08x}", "calls": len(calls)}}

    async def message(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        Send a text message to a radio or a talkgroup.

        @raise Refused: it cannot be sent.
        """
        messages = self._parts.messages
        if messages is None:
            raise Refused(503, "this node sends no messages")
        try:
            taken = messages.send(
                order["text"],
                source=order["source"],
                destination=order["destination"],
                now=self._parts.clock.seconds(),
                group=not order["private"],
            )
        except ValueError as error:
            raise Refused(409, str(error)) from None
        if not taken:
            raise Refused(503, "too many messages are under way")
        return {"message": {"destination": order["destination"], "private": order["private"]}}

    def _logins(self) -> tuple[Orders, Logins]:
        orders, homebrew = self._parts.orders, self._parts.homebrew
        if orders is None or homebrew is None:
            raise Refused(409, "no hotspots log in to this node")
        return orders, homebrew

    def _drained(self, orders: Orders, homebrew: Logins) -> dict[str, Any]:
        return {"drain": {"draining": orders.draining, "peers": len(homebrew.master)}}

    def _inCall(self, peerID: int) -> bool:
        peer = self._parts.router.reach.peers.get(peerID)
        return peer is not None and any(slot.call is not None for slot in peer.slots)

    def _look(self) -> None:
        """
        Say good-bye to those whose calls have ended.
        """
        self._looking = None
        orders, homebrew = self._logins()
        if not orders.draining:
            return
        if any(not self._inCall(session.peerID) for session in homebrew.master):
            homebrew.reviewAccess()
        self._looking = self._parts.clock.callLater(LOOK, self._look)
