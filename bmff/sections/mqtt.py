"""
The section of the MQTT broker.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import attrs

from bmff.sections.values import SecretID, Server, readServer
from bmff.toml import Between

KINDS: Final = ("message", "drop", "link", "unlink")  # of commands


class BrokerPlace(Server):
    """
    Where the broker is. It may be anywhere, unlike a server of the registry, so that what a file
    says of it is read in another way.
    """

    __slots__ = ()


_HERE: Final = BrokerPlace("127.0.0.1", 1883)


def makeBrokerPlace(value: object, folder: Path) -> BrokerPlace:
    """
    @param folder: what a relative path is relative to.
    """
    return BrokerPlace(*readServer(value, folder, '"127.0.0.1:1883" or "unix:/run/bmff/mqtt"'))


def checkUser(value: str) -> None:
    if not value.isprintable() or len(value) > 64:
        raise ValueError("must be the name of a user, 64 characters at most")


def checkRoot(value: str) -> None:
    if not value.isprintable() or not value or set("+#$") & set(value) or len(value) > 64:
        raise ValueError('must be the beginning of topics, such as "Master", without + # $')


def checkKind(value: str) -> None:
    if value not in KINDS:
        raise ValueError(f"{value!a} is no kind of command, which is {', '.join(KINDS)}")


@attrs.frozen
class MQTT:
    """
    The section of the MQTT broker, which is told what happens in the node.

    @ivar broker: where it is.
    @ivar user: who logs in there; empty for nobody.
    @ivar password: the id of that user's password in the secrets file.
    @ivar keepalive: seconds of silence after which the broker is asked whether it is there; after
        as many more it is given up.
    @ivar tls: whether TLS is spoken.
    @ivar ca: the file of the certificates that vouch for the broker's; those of this host if none.
    @ivar certificate: the file of the node's own certificate, if the broker wants one.
    @ivar privateKey: the file of its private key; in the same file if none.
    @ivar root: what topics begin with.
    @ivar commands: the kinds of commands that are taken from the broker.
    """

    broker: BrokerPlace = _HERE
    user: Annotated[str, checkUser] = ""
    password: SecretID = "mqtt"
    keepalive: Annotated[int, Between(1, 600, "seconds")] = 5
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    privateKey: Path | None = None
    root: Annotated[str, checkRoot] = "Master"
    commands: tuple[Annotated[str, checkKind], ...] = ()

    def __attrs_post_init__(self) -> None:
        """
        @raise ValueError: what is said does not fit together.
        """
        if self.tls and self.broker.path is not None:
            raise ValueError("a broker at a UNIX socket speaks no TLS; take tls = true away")
        if not self.tls and (self.ca or self.certificate or self.privateKey):
            raise ValueError("ca, certificate and private_key are of use with tls = true alone")
        if self.privateKey is not None and self.certificate is None:
            raise ValueError("private_key needs the certificate that it belongs to")
        known = bool(self.user or self.certificate)
        if self.commands and not self.broker.here and not (self.tls and known):
            raise ValueError(
                f"commands from {self.broker}, which is not on this host, could be anybody's; set "
                "tls = true and a user or a certificate, or take commands away"
            )
