"""
The control socket as a service of the node.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from grp import getgrnam
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger
from twisted.web.resource import IResource

from bmff.config import Configuration
from bmff.errors import ConfigurationError, Mistake
from bmff.sections.web import Web
from bmff.web.control import controlSite
from bmff.web.controlport import ControlPort, listenControl, makeFolder, obstacle
from bmff.web.refusals import Refusals


def makeStateFolder(configuration: Configuration) -> None:
    """
    Make the folder of the control socket, which as a rule is the state folder, so that those may
    pass through it who may use the socket.

    @raise ConfigurationError: it cannot be made.
    """
    web = configuration.web
    if web.enabled:
        try:
            makeFolder(str(web.socket.parent), groupOf(web))
        except OSError as error:
            raise ConfigurationError(
                [Mistake("web.socket", f"cannot make {web.socket.parent}: {error.strerror}")]
            ) from None


def groupOf(web: Web) -> int | None:
    """
    The ID of the group whose members may use the control socket.
    """
    return None if web.controlGroup is None else getgrnam(web.controlGroup).gr_gid


class ControlService(Service):
    """
    Opens and closes the control socket.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        views: Mapping[str, IResource],
        refusals: Refusals | None = None,
    ) -> None:
        """
        @param views: the resources of the API, by name.
        @param refusals: where it is noted what is refused.
        """
        self._refusals = refusals or Refusals(reactor.seconds)
        self._reactor = reactor
        self._configuration = configuration
        self._path = str(configuration.web.socket)
        self._views = views
        self._port: ControlPort | None = None
        self._group = groupOf(configuration.web)

    def startService(self) -> None:
        """
        Listen.

        @raise ConfigurationError: another node has the socket, or it cannot be made.
        """
        super().startService()
        makeStateFolder(self._configuration)
        try:
            self._port = listenControl(
                self._reactor,
                self._path,
                controlSite(self._views.items(), self._group, self._refusals, self._reactor),
            )
        except OSError as error:
            other = " (does another node run?)" if error.errno == errno.EADDRINUSE else ""
            reason = f"cannot listen on {self._path}{other}: {error.strerror or error}"
            raise ConfigurationError([Mistake("web.socket", reason)]) from None
        if self._group is not None:
            self._admit(self._port, self._group)
        self._log.info("bmffctl reaches this node at {path}", path=self._path)

    def _admit(self, port: ControlPort, group: int) -> None:
        """
        Let the members of a group use the socket.

        @raise ConfigurationError: this process may not.
        """
        name = self._configuration.web.controlGroup
        try:
            os.chown(self._path, -1, group)
        except OSError:
            port.removeFile()  # the reactor may never run, which closes it
            reason = (
                f"this process may not give {self._path} to group {name}, of which it is no "
                f"member; put SupplementaryGroups={name} into its unit, or its user into the group"
            )
            raise ConfigurationError([Mistake("web.control_group", reason)]) from None
        advice = obstacle(os.path.dirname(self._path), group)
        if advice is not None:
            self._log.warn(
                "the members of {group} cannot reach {path}; type: {advice}",
                group=name,
                path=self._path,
                advice=advice,
            )

    def stopService(self) -> Any:
        """
        Close.
        """
        super().stopService()
        port, self._port = self._port, None
        return port.stopListening() if port is not None else None
