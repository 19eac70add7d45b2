"""
Where the instances of a host are: their files, their units, what they keep.

The folder C{/opt/BrandMeister/Instances} is BrandMeister Server's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pwd import getpwnam, struct_passwd
from typing import Final

from bmff.errors import ConfigurationError, Mistake

USER: Final = "bmff"
ROOT: Final = Path("/")


@dataclass(frozen=True, slots=True)
class Places:
    """
    The places below one folder.

    @ivar prefix: the folder that everything is below: C{/} on a host that is to run the nodes,
        another one to look at the outcome first, or to try it without root.
    """

    prefix: Path

    @property
    def live(self) -> bool:
        """
        Whether this is where the host's own systemd looks.
        """
        return self.prefix == ROOT

    @property
    def instances(self) -> Path:
        """
        The folder of the configuration files.
        """
        return self.prefix / "opt/BrandMeister/Instances"

    @property
    def units(self) -> Path:
        """
        The folder of the units.
        """
        return self.prefix / "etc/systemd/system"

    @property
    def state(self) -> Path:
        """
        The folder of what nodes keep: secrets, registry, control sockets.
        """
        return self.prefix / "var/lib/bmff"

    @property
    def twistd(self) -> Path:
        """
        The twistd of the installation that this bmffctl belongs to.
        """
        return Path(sys.executable).parent / "twistd"

    def owner(self) -> struct_passwd | None:
        """
        The user whom the state folder belongs to; L{None} for whoever runs this.

        @raise ConfigurationError: this host has no such user.
        """
        if not self.live or os.geteuid() != 0:
            return None
        try:
            return getpwnam(USER)
        except KeyError:
            command = f"useradd --system --home-dir {self.state} --shell /usr/sbin/nologin {USER}"
            message = f"this host has no such user; run setup.sh, or: {command}"
            raise ConfigurationError([Mistake(f"user {USER}", message)]) from None

    def makeState(self) -> None:
        """
        Make the state folder.

        @raise OSError: it cannot be made.
        """
        if not self.state.is_dir():
            owner = self.owner()
            self.state.mkdir(parents=True)
            self.state.chmod(0o711)  # who may use a control socket has to pass through
            if owner is not None:
                os.chown(self.state, owner.pw_uid, owner.pw_gid)

    @contextmanager
    def asOwner(self) -> Iterator[None]:
        """
        Be the user of the nodes: what is made meanwhile is theirs.
        """
        owner = self.owner()
        if owner is None:
            yield
            return
        user, group = os.geteuid(), os.getegid()
        os.setegid(owner.pw_gid)
        os.seteuid(owner.pw_uid)
        try:
            yield
        finally:
            os.seteuid(user)
            os.setegid(group)
