"""
The configuration file of hblink3 and FreeDMR (C{hblink.cfg}, C{freedmr.cfg}), an INI file with a
section for each system: a master that hotspots log in to, a bridge, or a login elsewhere.
"""

from __future__ import annotations

from configparser import ConfigParser, Error, SectionProxy
from contextlib import suppress
from ipaddress import IPv4Address, ip_address
from typing import Final

from bmff.ctl.importing.accesslist import both, parseAccessList, singly
from bmff.ctl.importing.remarks import Remarks
from bmff.ctl.importing.systems import (
    EVERY_ID,
    EVERY_TALKGROUP,
    Elsewhere,
    Master,
    OtherServer,
    Server,
)
from bmff.dmr.numbers import isService
from bmff.dmr.ranges import Ranges
from bmff.errors import ConfigurationError, Mistake
from bmff.sections.values import LARGEST_ID, LARGEST_TALKGROUP
from bmff.wire.options import parseOptions

_PROXY_PORT: Final = 62031
_LONGEST_TIMER: Final = 86_400.0  # seconds
_ECHOES: Final = ("echo", "parrot", "playback")
# Keys that FreeDMR and its relations have, and hblink3 has not.
_FREEDMR: Final = ("server_id", "gen_stat_bridges", "enhanced_obp", "default_ua_timer", "generator")


def readServer(text: str, name: str, remarks: Remarks) -> Server:
    """
    What the text of such a file says.

    @param name: the file's name, for messages.
    @raise ConfigurationError: with every mistake.
    """
    parser = ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(text, name)
    except Error as error:
        # Only the first line of the message: others quote the file, which holds secrets.
        kind = type(error).__name__
        line = getattr(error, "lineno", None) or next(iter(getattr(error, "errors", [])), [""])[0]
        where = f"line {line}: " if line else ""
        raise ConfigurationError([Mistake(name, f"{where}is no INI file ({kind})")]) from None
    return _Reading(parser, name, remarks).server()


class _Reading:
    """
    One file that is being read.
    """

    def __init__(self, parser: ConfigParser, name: str, remarks: Remarks) -> None:
        self._parser = parser
        self._name = name
        self._remarks = remarks
        self._mistakes: list[Mistake] = []
        self._global = parser["GLOBAL"] if parser.has_section("GLOBAL") else None
        self._absent: dict[str, str] = {}

    def server(self) -> Server:
        """
        @raise ConfigurationError: with every mistake.
        """
        masters, others, elsewhere = [], [], []
        for title in self._parser.sections():
            section = self._parser[title]
            mode = section.get("mode", "").strip().upper()
            if not mode:
                self._other(title)
            elif not self._flag(section, "enabled", True):
                self._leave(title, "is not enabled there")
            elif reason := self._parrot(section):
                self._leave(title, reason)
            elif mode == "MASTER":
                masters.append(self._master(section))
            elif mode == "OPENBRIDGE":
                others.append(self._otherServer(section))
            elif mode == "PEER":
                elsewhere.append(self._elsewhere(section))
            elif mode == "XLXPEER":
                self._leave(title, _REFLECTOR)
            else:
                self._leave(title, f"has a MODE that is not known: {mode!a}")
        if not (masters or others or elsewhere or self._absent):
            self._mistakes.append(Mistake(self._name, "has no system (a section with a MODE)"))
        if self._mistakes:
            raise ConfigurationError(self._mistakes)
        ours = self._global
        freeDMR = any(
            self._parser.has_option(title, key)
            for title in self._parser.sections()
            for key in _FREEDMR
        )
        return Server(
            self._name,
            self._number(ours, "server_id", 0) or None if ours is not None else None,
            freeDMR,
            self._silence(),
            tuple(masters),
            tuple(others),
            tuple(elsewhere),
            self._absent,
        )

    def _leave(self, title: str, reason: str) -> None:
        self._absent[title] = reason
        self._remarks.left(f"[{title}]", reason)

    def _other(self, title: str) -> None:
        reason = _SECTIONS.get(title.upper(), "is no system; it is not looked at")
        if reason:
            self._remarks.left(f"[{title}]", reason)

    def _silence(self) -> float | None:
        ours = self._global
        if ours is None or "ping_time" not in ours or "max_missed" not in ours:
            return None
        return float(self._number(ours, "ping_time", 5) * self._number(ours, "max_missed", 3))

    def _parrot(self, section: SectionProxy) -> str:
        """
        Why a system is not needed, as the node does the same itself; empty when it is.
        """
        name = section.name.lower()
        if any(word in name for word in _ECHOES):
            return _PARROT
        if name == "d-aprs":
            return "leads to FreeDMR's program for positions; there is none here"
        every = [
            range_
            for key in ("tgid_ts1_acl", "tgid_ts2_acl")
            for range_ in (self._access(section, key, EVERY_TALKGROUP) if key in section else ())
        ]
        few = singly(Ranges(every)) if every else None
        return _PARROT if few and all(map(isService, few)) else ""

    # Systems.

    def _master(self, section: SectionProxy) -> Master:
        name, remarks = section.name, self._remarks
        generated = self._number(section, "generator", 0) > 1
        static = {
            slot: frozenset(
                number
                for number in self._talkgroups(section, f"ts{slot}_static")
                if not self._service(section, f"TS{slot}_STATIC", number)
            )
            for slot in (1, 2)
        }
        timer = self._number(section, "default_ua_timer", -1)
        single = self._flag(section, "single_mode", False) if "single_mode" in section else None
        options = parseOptions(section.get("options", ""))
        for slot, talkgroups in options.static.items():
            static[slot] |= frozenset(each for each in talkgroups if not isService(each))
        for key, plain, text in _UNTURNED:
            value = section.get(key, "").strip()
            if value and value.lower() not in plain:
                remarks.left(f"[{name}] {key.upper()}", text)
        hang = float(self._number(section, "group_hangtime", 5))
        if hang > 60.0:
            remarks.left(f"[{name}] GROUP_HANGTIME", f"{hang:g} s; 60 s are the most here")
        self._radios(section)
        listen = self._listen(section)
        if generated:
            proxy = self._parser["PROXY"] if self._parser.has_section("PROXY") else None
            port = self._number(proxy, "listenport", _PROXY_PORT) if proxy else _PROXY_PORT
            listen = f"0.0.0.0:{port}"
            remarks.turned(
                f"[{name}] GENERATOR",
                f"one address, {listen}, takes all hotspots; neither proxy nor copies are needed",
            )
        return Master(
            name,
            listen,
            self._secret(section),
            self._both(section, "reg_acl", EVERY_ID),
            (
                self._both(section, "tgid_ts1_acl", EVERY_TALKGROUP),
                self._both(section, "tgid_ts2_acl", EVERY_TALKGROUP),
            ),
            min(hang, 60.0),
            static,
            options.timer if timer < 0 else min(timer * 60.0, _LONGEST_TIMER),
            options.single if single is None else single,
            generated,
        )

    def _otherServer(self, section: SectionProxy) -> OtherServer:
        name = section.name
        version = self._number(section, "proto_ver", 5)
        enhanced = self._flag(section, "enhanced_obp", False)
        if enhanced and version < 4:
            self._remarks.left(
                f"[{name}] PROTO_VER",
                "versions 4 and 5 of the enhanced protocol are spoken; a plain bridge is made",
            )
            enhanced = False
        host = section.get("target_ip", "").strip()
        if not host and not enhanced:
            self._mistakes.append(Mistake(f"{self._name} [{name}] TARGET_IP", "is missing"))
        self._radios(section)
        secret = self._secret(section)
        if not secret:
            self._mistakes.append(Mistake(f"{self._name} [{name}] PASSPHRASE", "is missing"))
        network = self._number(section, "network_id", 0)
        if not 1 <= network <= LARGEST_ID:
            self._mistakes.append(Mistake(f"{self._name} [{name}] NETWORK_ID", "is no server's ID"))
        return OtherServer(
            name,
            self._listen(section),
            network,
            secret,
            host,
            self._port(section, "target_port"),
            self._access(section, "tgid_acl", EVERY_TALKGROUP),
            enhanced,
            self._flag(section, "relax_checks", False),
            self._flag(section, "both_slots", False),
        )

    def _elsewhere(self, section: SectionProxy) -> Elsewhere:
        host = section.get("master_ip", "").strip()
        if not host:
            place = f"{self._name} [{section.name}] MASTER_IP"
            self._mistakes.append(Mistake(place, "is missing"))
        host = f"[{host}]" if ":" in host else host
        radioID = self._number(section, "radio_id", 0)
        if not 1 <= radioID <= LARGEST_ID:
            place = f"{self._name} [{section.name}] RADIO_ID"
            self._mistakes.append(Mistake(place, "is no hotspot's ID"))
        callsign = "".join(filter(str.isalnum, section.get("callsign", "")))
        shown: dict[str, int | float | str] = {
            ours: self._number(section, theirs, 0)
            for theirs, ours in _NUMBERS_SHOWN.items()
            if section.get(theirs, "").strip()
        }
        for key in ("latitude", "longitude"):
            with suppress(ValueError):  # as something like N50.1, which says nothing here
                shown[key] = float(section.get(key, "0").strip() or "0")
        for key in ("location", "description", "url"):
            if value := section.get(key, "").strip():
                shown[key] = value
        return Elsewhere(
            section.name,
            f"{host}:{self._port(section, 'master_port')}",
            radioID,
            callsign.encode("ascii", "ignore").decode()[:8] or "N0CALL",
            self._secret(section),
            section.get("options", "").strip(),
            (
                self._both(section, "tgid_ts1_acl", EVERY_TALKGROUP),
                self._both(section, "tgid_ts2_acl", EVERY_TALKGROUP),
            ),
            self._both(section, "sub_acl", EVERY_ID),
            shown,
        )

    # Values.

    def _radios(self, section: SectionProxy) -> None:
        """
        Say that nobody looks at the IDs of radios here, where that is asked for.
        """
        for each in (self._global, section):
            if each is not None and self._flag(each, "use_acl", True):
                value = each.get("sub_acl", "").replace(" ", "").upper()
                if value and value != "PERMIT:ALL":
                    self._remarks.left(f"[{each.name}] SUB_ACL", _RADIOS)

    def _service(self, section: SectionProxy, key: str, number: int) -> bool:
        if isService(number):
            self._remarks.left(
                f"[{section.name}] {key}", f"{number} is a service of the node, not a talkgroup"
            )
        return isService(number)

    def _secret(self, section: SectionProxy) -> str:
        return section.get("passphrase", "").strip().replace("%%", "%")

    def _listen(self, section: SectionProxy) -> str:
        host = section.get("ip", "").strip() or "0.0.0.0"
        try:
            address = ip_address(host)
        except ValueError:
            self._remarks.left(
                f"[{section.name}] IP", "is no address in numbers; all addresses are listened on"
            )
            address = IPv4Address(0)
        port = self._port(section, "port")
        return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"

    def _port(self, section: SectionProxy, key: str) -> int:
        port = self._number(section, key, 0)
        if not 1 <= port <= 0xFFFF:
            place = f"{self._name} [{section.name}] {key.upper()}"
            self._mistakes.append(Mistake(place, "is no port, 1 to 65535"))
        return port

    def _number(self, section: SectionProxy, key: str, default: int) -> int:
        word = section.get(key, "").strip()
        if not word:
            return default
        try:
            if not word.isascii() or len(word) > 10:
                raise ValueError(word)
            return int(word)
        except ValueError:
            place = f"{self._name} [{section.name}] {key.upper()}"
            self._mistakes.append(Mistake(place, "is no number"))
            return default

    def _flag(self, section: SectionProxy, key: str, default: bool) -> bool:
        word = section.get(key, "").strip().lower()
        return {"true": True, "yes": True, "on": True, "1": True}.get(word, not word and default)

    def _talkgroups(self, section: SectionProxy, key: str) -> tuple[int, ...]:
        found = []
        for word in filter(None, map(str.strip, section.get(key, "").split(","))):
            if word.isascii() and word.isdigit() and 1 <= int(word[:10]) <= LARGEST_TALKGROUP:
                found.append(int(word))
            else:
                place = f"{self._name} [{section.name}] {key.upper()}"
                self._mistakes.append(Mistake(place, f"{word[:20]!a} is no talkgroup"))
        return tuple(found)

    def _access(self, section: SectionProxy, key: str, whole: Ranges) -> Ranges:
        text = section.get(key, "").strip()
        if not text or not self._flag(section, "use_acl", True):
            return whole
        try:
            return parseAccessList(text, whole)
        except ValueError as error:
            place = f"{self._name} [{section.name}] {key.upper()}"
            self._mistakes.append(Mistake(place, str(error)))
            return whole

    def _both(self, section: SectionProxy, key: str, whole: Ranges) -> Ranges:
        """
        What a system and the whole server let through.
        """
        found = self._access(section, key, whole)
        ours = self._global
        return found if ours is None else both(found, self._access(ours, key, whole))


_PARROT: Final = "is not needed: the node has a parrot of its own, at 9990"
_NUMBERS_SHOWN: Final = {
    "rx_freq": "rx_frequency",
    "tx_freq": "tx_frequency",
    "tx_power": "power",
    "colorcode": "colour_code",
    "height": "height",
}
_REFLECTOR: Final = "logs in to an XLX reflector and chooses a module there; nothing here does so"
_RADIOS: Final = (
    "radios are not let in or kept out by their IDs in the configuration; a rule of your own does "
    "it (docs/coming-from-hblink.md)"
)
# Sections that are no systems, with what to say of them; nothing when that is empty.
_SECTIONS: Final = {
    "GLOBAL": "",
    "PROXY": "",
    "REPORTS": "no reports go to a monitor; ask the node with bmffctl or over its HTTP API",
    "LOGGER": "the node logs lines of JSON to its standard error, which systemd keeps",
    "ALIASES": "no lists of names are downloaded; events hold numbers and callsigns of hotspots",
    "MYSQL": "hotspots are said in the configuration, not in a MySQL database",
    "ALLSTAR": "there is nothing for AllStar here",
    "SELF SERVICE": "users set their hotspots by options (RPTO); there is no web page for it",
}
# Keys of masters that have nothing like them here: what they are when they ask for nothing, and
# what to say else.
_UNTURNED: Final = (
    ("repeat", ("true", "1", "yes", "on"), "hotspots of one node always hear each other"),
    ("max_peers", (), "there is no limit to the hotspots of an address"),
    ("export_ambe", ("false", "0"), "voice is not exported"),
    ("voice_ident", ("false", "0"), "there are no spoken announcements"),
    ("default_reflector", ("0",), "a link to talkgroup 9 is the hotspot's to ask for: DIAL=..."),
    ("allow_unreg_id", ("true", "1"), "radios need not be registered anywhere to talk"),
    ("override_ident_tg", ("false", "0"), "there are no spoken announcements"),
)
