"""
The registry that a configuration names, found by its plugin.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import quoteStringArgument
from twisted.plugin import getPlugins

from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import IRegistry, IRegistryMaker, ITransportMaker, RegistrySettings
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
