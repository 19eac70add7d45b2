"""
What is known to go wrong on today's servers of the field, from running them, from their sources and
from what their users have reported in public; and the tests which show that it does not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MASTER: Final = "tests.wire.test_homebrewmaster."
_CLIENT: Final = "tests.wire.test_homebrewclient."
_CODEC: Final = "tests.wire.test_homebrew.CodecTests."
_HOMEBREW: Final = "tests.protocols.test_homebrew."
_UPLINK: Final = "tests.protocols.test_uplink."
_BRIDGE: Final = "tests.wire.test_openbridge."
_STATES: Final = "tests.wire.test_openbridgestates."
_EXCHANGE: Final = "tests.wire.test_openbridgeexchange."
_BRIDGED: Final = "tests.protocols.test_openbridge."
_GROUP: Final = "tests.router.test_groupcalls."
_PRIVATE: Final = "tests.router.test_privatecalls.PrivateCallTests."
_DATA: Final = "tests.router.test_privatecalls.DataCallTests."
_STREAMS: Final = "tests.router.test_streams.StreamTests."
_SERVICES: Final = "tests.router.test_services."
_TRUNKS: Final = "tests.router.test_trunks."
_REWRITING: Final = "tests.dmr.test_rewriting."
_OWN: Final = "tests.test_faults."


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One fault.

    @ivar who: the servers that have it or had it, or the programs that are to be lived with.
    @ivar what: the fault.
    @ivar tests: the full names of the tests that would fail if it were here.
    """

    who: str
    what: str
    tests: tuple[str, ...]


FAULTS: Final = (
    # Logins.
    Fault(
        "hblink3, HBlink4, RYSEN, DMRHub",
        "one unauthenticated login of eight bytes from anywhere ends the live session of its ID",
        (_MASTER + "HostileTests.test_loginFromElsewhere", _OWN + "LoginTests.test_loginInACall"),
    ),
    Fault(
        "hblink3",
        "the configuration that MMDVMHost tells its gateway (DMRC) is a login without a password",
        (_CODEC + "test_ignored", _OWN + "LoginTests.test_configurationOfAGateway"),
    ),
    Fault(
        "RYSEN",
        "a key from the address of a live session is acknowledged without being verified",
        (
            _OWN + "LoginTests.test_wrongKeyFromALiveAddress",
            _MASTER + "LoginTests.test_repeatedKey",
        ),
    ),
    Fault(
        "servers without the rule",
        "a login that is repeated gets another challenge: the answer to the first one fails",
        (_MASTER + "LoginTests.test_sameChallenge",),
    ),
    Fault(
        "hblink3, HBlink4",
        "a late copy of a key or a configuration is answered by a refusal, which the client obeys",
        (_MASTER + "LoginTests.test_repeatedKey", _MASTER + "SessionTests.test_configurationAgain"),
    ),
    Fault(
        "hblink3, MMDVM_CM's masters",
        "a hotspot that pings every 10 s is thrown out after 15 s, with one ping lost",
        (
            _MASTER + "SessionTests.test_lostPing",
            _HOMEBREW + "LoginTests.test_survivesALossyNetwork",
        ),
    ),
    Fault(
        "hblink3",
        "a hotspot that does not ping while it talks is thrown out",
        (_MASTER + "SessionTests.test_voiceIsLife", _OWN + "LoginTests.test_talksWithoutPings"),
    ),
    Fault(
        "hblink3, RYSEN",
        "frames, options or pings of a hotspot that is not logged in are passed over in silence, so"
        " that it never learns of it",
        (_MASTER + "LoginTests.test_outOfOrder", _HOMEBREW + "LoginTests.test_loggedInAnew"),
    ),
    Fault(
        "MMDVMHost, DMRGateway",
        "obey MSTNAK and MSTCL whatever the ID in them: a master that answers forged senders is a"
        " weapon",
        (_MASTER + "HostileTests.test_noWeapon", _MASTER + "HostileTests.test_refusalsAreRare"),
    ),
    Fault(
        "hblink3",
        "a good-bye is answered by a refusal",
        (_MASTER + "SessionTests.test_close",),
    ),
    Fault(
        "MMDVMHost, DMRGateway",
        "stay dead after their master has restarted or has another address",
        (_HOMEBREW + "LoginTests.test_stop", _HOMEBREW + "LoginTests.test_loggedInAnew"),
    ),
    Fault(
        "DMRGateway, as a client",
        "never asks again for the address of a name",
        (_UPLINK + "ReturnTests.test_moved", _UPLINK + "ReturnTests.test_cleanRestart"),
    ),
    Fault(
        "xlxd",
        "answers pings with the ID in the wrong order of bytes",
        (_CLIENT + "RunningTests.test_oddPong",),
    ),
    Fault(
        "DMRGateway",
        "cuts four bytes off talker aliases and positions",
        (_MASTER + "SessionTests.test_extras", _HOMEBREW + "LoginTests.test_position"),
    ),
    Fault(
        "hblink3",
        "options are logged and have no effect, those of its own clients begin with Type=HBlink",
        (_HOMEBREW + "LoginTests.test_optionsAdd", _OWN + "LoginTests.test_optionsOfHBlink"),
    ),
    Fault(
        "hblink3",
        "IPv4 only",
        (_HOMEBREW + "CallTests.test_bothFamilies", _BRIDGED + "NodesTests.test_bothWays"),
    ),
    Fault(
        "most",
        "talkgroups, passwords and bans change with a restart only",
        (
            _HOMEBREW + "LoginTests.test_reviewAccess",
            _HOMEBREW + "LoginTests.test_passwordChanged",
            _GROUP + "GroupCallTests.test_staticChanges",
        ),
    ),
    # Frames.
    Fault(
        "hblink3, HBlink4",
        "send 53 bytes for what came over OpenBridge, which DMRGateway drops",
        (
            _HOMEBREW + "CallTests.test_always55",
            _BRIDGE + "PacketTests.test_plainTellsNoQuality",
            _OWN + "LoginTests.test_privateFromABridge",
        ),
    ),
    Fault(
        "hblink3",
        "private calls from OpenBridge go to slot 1, which a simplex MMDVMHost drops",
        (
            _HOMEBREW + "CallTests.test_simplexHearsSlot1",
            _OWN + "LoginTests.test_privateFromABridge",
        ),
    ),
    Fault(
        "servers without the rule",
        "a stream that comes doubled or out of order is passed on so",
        (
            _STREAMS + "test_duplicates",
            _STREAMS + "test_late",
            _STREAMS + "test_sequenceStartsAgain",
            _HOMEBREW + "CallTests.test_reordered",
        ),
    ),
    Fault(
        "servers without the rule",
        "a frame after the terminator, or a second terminator, begins a call again",
        (_STREAMS + "test_afterTheEnd", "tests.router.test_bounds.SourceTests.test_networkCounts"),
    ),
    Fault(
        "servers without the rule",
        "a stream ID of 0 is a stream",
        (_STREAMS + "test_inadmissible",),
    ),
    Fault(
        "servers without the rule",
        "listeners are left without an end when a talker is lost",
        (
            _STREAMS + "test_terminatorLost",
            _STREAMS + "test_peerLost",
            _HOMEBREW + "CallTests.test_talkerVanishes",
        ),
    ),
    Fault(
        "servers without the rule",
        "no limit to the time that one may talk",
        (_STREAMS + "test_talkLimit",),
    ),
    Fault(
        "hosts and servers",
        "packets that a network has put out of order are heard as broken audio",
        (
            "tests.protocols.test_badnetworks.BadNetworkTests.test_reordering",
            "tests.wire.fastforward.test_order.OrderTests.test_anyOrder",
        ),
    ),
    # Layer 2.
    Fault(
        "hblink3's bridge, RYSEN, ADN",
        "writes fragments of a Link Control into every burst whose low four flags are 1 to 4, which"
        " destroys the middle of a group CSBK, and leaves the talkgroup in it as it was",
        (
            _REWRITING + "DataTests.test_groupControlBlock",
            _REWRITING + "DataTests.test_middleKept",
            _OWN + "BridgeTests.test_groupData",
        ),
    ),
    Fault(
        "hblink3 3.0",
        "drops group CSBK, and data blocks at rate 1/2, which it takes for them",
        (_OWN + "BridgeTests.test_groupData", _DATA + "test_oneCall"),
    ),
    Fault(
        "dmr_utils3, so hblink3 and its relations",
        "one wrong bit in burst D when the service options 0x10 and 0x08 differ, as in broadcasts",
        (_OWN + "LinkControlTests.test_everyOption",),
    ),
    Fault(
        "hblink3's bridge",
        "destroys talker alias and position in calls that it gives another number",
        (_REWRITING + "VoiceTests.test_aliasKept", _REWRITING + "VoiceTests.test_randomAliases"),
    ),
    Fault(
        "servers that rewrite the network's fields alone",
        "the header says another talkgroup or radio than the network does, as MMDVMHost warns",
        (
            _TRUNKS + "TranslationTests.test_out",
            "tests.router.test_bounds.SourceTests.test_networkCounts",
            "tests.router.test_bounds.SourceTests.test_outward",
        ),
    ),
    Fault(
        "bridges that make a new header",
        "options of a call (emergency, broadcast) are lost where it gets another number",
        (_REWRITING + "VoiceTests.test_optionsKept",),
    ),
    Fault(
        "DMRGateway, MMDVMHost, hblink3",
        "talker alias and position are lost on the way or go to the wrong network",
        (_HOMEBREW + "LoginTests.test_talkerAlias", _HOMEBREW + "LoginTests.test_position"),
    ),
    # Data.
    Fault(
        "hblink3",
        "an incomplete text message ends the loop that clears up, for all calls and for good",
        (_OWN + "DataTests.test_incompleteMessage", _OWN + "DataTests.test_failureInATurn"),
    ),
    Fault(
        "hblink3",
        "positions that are sent as data block bridges until a restart",
        (_DATA + "test_slotFreedSoon", _OWN + "DataTests.test_positionsBlockNobody"),
    ),
    Fault(
        "DMRHub",
        "data is not routed; a message is several streams",
        (_DATA + "test_oneCall", _DATA + "test_replies", _DATA + "test_streamsBounded"),
    ),
    Fault(
        "hbnet, hblink3",
        "no private calls by data, as for one-time passwords, or none at all",
        (_DATA + "test_replies", _BRIDGED + "ProgramTests.test_private"),
    ),
    # Routing.
    Fault(
        "hblink3",
        "a private call to a radio that was silent for a minute is flooded to all",
        (_OWN + "DataTests.test_noFlood", _PRIVATE + "test_unknown"),
    ),
    Fault(
        "HBlink4",
        "forgets a radio's place after ten minutes",
        (_OWN + "DataTests.test_noFlood",),
    ),
    Fault(
        "soft clients and hotspots with two digits more (ESSID)",
        "another ID than the radio's, at which it is not found",
        (_PRIVATE + "test_hotspotOfTheRadio",),
    ),
    Fault(
        "servers without the rule",
        "4000 is routed, listed as a talkgroup, or learnt",
        (
            _GROUP + "GroupCallTests.test_unlink",
            _GROUP + "GroupCallTests.test_serviceNumbers",
            "tests.router.test_remotes.RemoteTests.test_servicePrivate",
        ),
    ),
    Fault(
        "hblink3's parrot",
        "answers under the stream ID that it has heard, and stops the reactor while it plays",
        (
            _SERVICES + "ParrotTests.test_group",
            _SERVICES + "ParrotTests.test_private",
            _OWN + "BridgeTests.test_parrotStopsNobody",
        ),
    ),
    Fault(
        "servers without the rule",
        "an own user who talks does not get his slot from a call that it hears",
        (_GROUP + "ContentionTests.test_ownUserWins",),
    ),
    Fault(
        "servers without the rule",
        "a radio that talks again at once after its terminator was lost is not heard",
        (_GROUP + "ContentionTests.test_keyedAgainAtOnce",),
    ),
    Fault(
        "hblink3, HBlink4",
        "no loop control across a network",
        (
            _TRUNKS + "BridgeTests.test_loop",
            _BRIDGED + "NodesTests.test_ring",
            _BRIDGED + "NodesTests.test_neverBack",
        ),
    ),
    Fault(
        "HBlink4",
        "a talkgroup goes out over a single bridge",
        (_TRUNKS + "BridgeTests.test_bridgeToBridge", _OWN + "BridgeTests.test_twoBridges"),
    ),
    # OpenBridge.
    Fault(
        "hblink3",
        "identical packets that are replayed 6 s later are heard again, eight of eight",
        (_STATES + "PlainTests.test_replayed", _BRIDGED + "ProgramTests.test_replayed"),
    ),
    Fault(
        "RYSEN, FreeDMR, ADN",
        "within 5 to 15 s a replayed packet is heard again, as none is remembered",
        (_STATES + "EnhancedTests.test_replayed",),
    ),
    Fault(
        "RYSEN",
        "a packet that is 6 s old is taken",
        (_STATES + "EnhancedTests.test_age",),
    ),
    Fault(
        "FreeDMR, ADN, RYSEN",
        "one copied sign of life (BCKA) sent from anywhere points the bridge there",
        (
            _EXCHANGE + "StrangerTests.test_keepAliveMovesNothing",
            _EXCHANGE + "StrangerTests.test_replayMovesNothing",
        ),
    ),
    Fault(
        "DMRHub",
        "takes packets from foreign addresses with no more than a warning",
        (_EXCHANGE + "StrangerTests.test_strict",),
    ),
    Fault(
        "hblink3",
        "ignores which network's ID a packet carries",
        (_STATES + "PlainTests.test_refused", _STATES + "PlainTests.test_anyID"),
    ),
    Fault(
        "FreeDMR, ADN, RYSEN",
        "the code of BCVE covers its version alone: a copy may bring back one that is not safe",
        (_BRIDGE + "PacketTests.test_control", _STATES + "EnhancedTests.test_version"),
    ),
    Fault(
        "FreeDMR, ADN, RYSEN",
        "BCST is verified by the wrong bytes, so never",
        (_BRIDGE + "PacketTests.test_stun", _STATES + "EnhancedTests.test_stun"),
    ),
    Fault(
        "hblink3",
        "cuts keys to 20 bytes: with a longer one nobody else is understood",
        (_BRIDGE + "SignatureTests.test_longKey", _BRIDGE + "SignatureTests.test_shortKey"),
    ),
    Fault(
        "hblink3",
        "both slots over OpenBridge, which the published form does not have",
        (_STATES + "PlainTests.test_slots",),
    ),
    Fault(
        "HBlink4 with hblink3, servers of two versions",
        "no audio between them",
        (
            _BRIDGED + "ProgramTests.test_plain",
            _BRIDGED + "ProgramTests.test_version4",
            _STATES + "EnhancedTests.test_plainFrame",
        ),
    ),
    Fault(
        "servers without the rule",
        "a call crosses bridges without end, or local talkgroups cross them",
        (
            _STATES + "EnhancedTests.test_hops",
            _BRIDGED + "NodesTests.test_hops",
            _BRIDGE + "CrossingTests.test_enhanced",
            _TRUNKS + "BridgeTests.test_localTalkgroups",
        ),
    ),
)
