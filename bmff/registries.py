"""
The registry that a configuration names, found by its plugin, and its life in a node.
"""

from __future__ import annotations

from math import inf
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import quoteStringArgument
from twisted.logger import Logger
from twisted.plugin import getPlugins
from twisted.python.failure import Failure

from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import (
    IRegistry,
    IRegistryMaker,
    ITransportMaker,
    RegistrySettings,
    RegistryUnavailable,
)
from bmff.keys import Secrets
from bmff.sections.registry import Registry
from bmff.sections.values import Server


def makeRegistry(reactor: Any, settings: Registry, secrets: Secrets) -> IRegistry:
    """
    The registry of a node, to be opened by its C{start}.

    @param reactor: the reactor, its clock monotonic.
    @raise ConfigurationError: there is no such registry, or no such password.
    """
    makers = {each.name: each for each in getPlugins(IRegistryMaker)}
    maker = makers.get(settings.type)
    if maker is None:
        message = f"{settings.type!a} is no registry; there is {', '.join(sorted(makers))}"
        raise ConfigurationError([Mistake("registry.type", message)])

    def password() -> str:
        found = secrets.registryPassword(settings.password)
        if found is None:
            raise ConfigurationError(
                [
                    Mistake(
                        "registry.password",
                        f"{secrets.path} has no {settings.password!a} in its table [registry]",
                    )
                ]
            )
        return found

    registry: IRegistry = maker.make(
        reactor,
        RegistrySettings(
            settings.file,
            tuple(map(endpointOf, settings.addresses)),
            settings.user,
            password,
            {each.name: getattr(each, "addresses", "any") for each in getPlugins(ITransportMaker)},
        ),
    )
    return registry


def endpointOf(server: Server) -> str:
    """
    The description of a server's endpoint, as L{twisted.internet.endpoints} reads it.
    """
    if server.path is not None:
        # Which leaves what names an argument as it is.
        path = quoteStringArgument(str(server.path)).replace("=", r"\=")
        return f"unix:{path}"
    return f"tcp:{quoteStringArgument(server.host)}:{server.port}"


class RegistryService(Service):
    """
    The registry of a node, which opens before all that use it, and closes after them.

    @ivar registry: what nodes know together.
    """

    _log = Logger()

    def __init__(self, registry: IRegistry) -> None:
        self.registry = registry
        self._over = False  # it is open, or cannot be
        self._result: Failure | None = None  # why not
        self._waiting: list[Deferred[None]] = []

    def startService(self) -> None:
        """
        Open it; L{opened} tells when that is done.
        """
        super().startService()
        self.registry.start().addBoth(self._opened)

    def stopService(self) -> Deferred[None]:
        """
        Close it after what is being written.
        """
        super().stopService()
        stopping: Deferred[None] = self.registry.stop()
        return stopping

    def opened(self) -> Deferred[None]:
        """
        @return: fires when the registry is open, or fails with why it cannot be.
        """
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if self._over:
            self._tell()
        return waiter

    def _opened(self, result: Failure | None) -> None:
        self._over, self._result = True, result
        if result is None or not self.running:  # it was stopped meanwhile
            pass
        elif result.check(ConfigurationError, RegistryUnavailable):
            reason = "; ".join(result.getErrorMessage().splitlines())
            self._log.error("the registry cannot be used: {reason}", reason=reason)
        else:
            self._log.failure("the registry cannot be used", result)
        self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if self._result is None:
                waiter.callback(None)
            else:
                waiter.errback(self._result)

    def describe(self) -> dict[str, Any]:
        """
        C{{"registry": {"available": true, "reason": "", "age": 0.2, ...}}}: whether this node knows
        what others know, and the rows that cannot be used.
        """
        registry = self.registry
        return {
            "registry": {
                "available": registry.available,
                "reason": registry.reason,
                "age": round(registry.age, 3) if registry.age < inf else None,
                "nodes": len(registry.nodes),
                "overrides": len(registry.overrides),
                "bad_rows": [
                    {"table": row.table, "node": row.node, "row": row.text, "reason": row.reason}
                    for row in registry.badRows
                ],
            }
        }
