"""
What the API's answers and orders are like, in the words of JSON Schema.
"""

from __future__ import annotations

from typing import Final

from bmff.web.schema import (
    Schema,
    fields,
    integer,
    nullable,
    number,
    rows,
    table,
    text,
    truth,
)

_LARGEST_ID: Final = 0xFFFFFFFF
_LARGEST_RADIO: Final = 0xFFFFFF
_LARGEST_TALKGROUP: Final = _LARGEST_RADIO - 1
_MOST_TALKGROUPS: Final = 50  # of a slot, as many as a body has room for with all else
_COUNT: Final = integer(0)
_COUNTS: Final = table(_COUNT)
_MOMENT: Final = text(format="date-time", description="UTC")
_STREAM: Final = text(pattern="^[0-9a-f]{8}$", description="stream ID, hex")
_SLOT: Final = integer(1, 2)
_TALKGROUPS: Final = rows(integer(1, _LARGEST_TALKGROUP))
_SECONDS: Final = number(minimum=0, description="seconds")

# Answers.

ERROR: Final = fields(error=text(description="for people"))

_CALL: Final[dict[str, Schema]] = {
    "stream": _STREAM,
    "source": integer(0, _LARGEST_RADIO),
    "destination": integer(0, _LARGEST_RADIO),
    "private": truth(),
    "data": truth(),
    "frames": _COUNT,
    "lost": _COUNT,
    "duplicates": _COUNT,
    "late": _COUNT,
    "peer": integer(0, _LARGEST_ID),
    "slot": _SLOT,
    "duration": _SECONDS,
}
CALLS: Final = fields(
    calls=rows(fields(_CALL, started=_MOMENT, listeners=_COUNT)),
    ended=rows(fields(_CALL, ended=_MOMENT, reason=text())),
)

PEERS: Final = fields(
    peers=rows(
        fields(
            id=integer(0, _LARGEST_ID),
            callsign=text(),
            address=nullable(text(description="null for those who may only look")),
            running=truth(),
            since=_MOMENT,
            heard=_MOMENT,
            simplex=truth(),
            colour_code=integer(),
            rx_frequency=integer(description="Hz"),
            tx_frequency=integer(description="Hz"),
            power=integer(description="W"),
            latitude=number(description="degrees; one digit for those who may only look"),
            longitude=number(description="degrees; one digit for those who may only look"),
            height=nullable(integer(description="m; null for those who may only look")),
            location=text(),
            description=text(),
            url=text(),
            software=text(),
            package=text(),
            options_unknown=rows(text()),
            slots=table(
                fields(static=_TALKGROUPS, dynamic=_TALKGROUPS, call=nullable(_STREAM)),
            ),
        )
    )
)

_PATH: Final = fields(
    transport=text(),
    address=text(),
    sealed=truth(description="whether packets are encrypted"),
    key=text(description="id of the key"),
    round_trip=nullable(_SECONDS),
    jitter=nullable(_SECONDS),
    loss=number(minimum=0, maximum=1),
    lag=number(description="seconds by which the other end's turns come late"),
    twice=truth(description="whether frames are sent twice"),
    heard=_MOMENT,
    packets_sent=_COUNT,
    packets_received=_COUNT,
    packets_repeated=_COUNT,
    packets_repaired=_COUNT,
    frames_sent=_COUNT,
    frames_received=_COUNT,
    frames_dropped=_COUNT,
    frames_a_packet=nullable(number(minimum=0)),
    dropped=_COUNTS,
    carries=truth(description="whether it carries the link"),
)
LINKS: Final = fields(
    links=rows(
        fields(
            node=integer(),
            since=_MOMENT,
            boot=text(pattern="^[0-9a-f]{16}$"),
            ready=truth(),
            talkgroups=_COUNT,
            seen_at=text(),
            transport=nullable(text()),
            address=nullable(text()),
            key=nullable(text()),
            chosen=text(description="the transport that both ends have come to"),
            override=nullable(text()),
            by_hand=nullable(text()),
            overruled=truth(),
            missing=table(text()),
            frames_held=_COUNT,
            frames_late=_COUNT,
            dropped=_COUNTS,
            paths=rows(_PATH),
        )
    )
)

_NETWORK: Final[dict[str, Schema]] = {
    "name": text(),
    "network": text(description="calls from one network do not return to it"),
    "peer": integer(0, _LARGEST_ID, description="what it is in events of calls"),
    "id": integer(0, _LARGEST_ID, description="our ID there"),
    "reason": nullable(text(description="why no calls cross")),
    "address": nullable(text()),
    "frames_sent": _COUNT,
    "frames_received": _COUNT,
    "dropped": _COUNTS,
}
BRIDGES: Final = fields(
    bridges=rows(
        fields(
            _NETWORK,
            enhanced=truth(description="whether both ends say that they are there"),
            version=nullable(integer(description="of the enhanced protocol, as it was heard")),
            state=text(enum=["up", "down"]),
            heard=nullable(number(minimum=0, description="seconds ago; null for never")),
            talkgroups=text(description="that go out, by our numbers"),
            frames_quenched=_COUNT,
            quenches_sent=_COUNT,
            quenches_received=_COUNT,
        )
    )
)
UPLINKS: Final = fields(
    uplinks=rows(
        fields(
            _NETWORK,
            state=text(enum=["stopped", "looking", "trying", "running", "waiting"]),
            logins=_COUNT,
        )
    )
)

NODES: Final = fields(
    nodes=rows(
        fields(
            node=integer(),
            transport=nullable(text()),
            address=text(),
            port_=integer(),
            override=truth(),
            state=text(enum=["linked", "unreachable", "waiting"]),
            reason_=text(),
        )
    )
)

_BAD: Final = {"table": text(), "row": text(), "reason": text()}
_REGISTRY: Final[dict[str, Schema]] = {
    "available": truth(),
    "reason": text(),
    "age": nullable(number(minimum=0, description="seconds")),
}
OVERRIDES: Final = fields(
    overrides=rows(
        fields(
            node=integer(),
            transport=text(),
            address=text(),
            port=integer(),
            key=nullable(text()),
            over=nullable(text()),
            state=text(enum=["in use", "overruled", "not to be had", "waiting", "ignored"]),
            reason=text(),
        )
    ),
    bad=rows(fields(_BAD)),
    registry=nullable(fields(_REGISTRY)),
)
REGISTRY: Final = fields(
    registry=nullable(
        fields(
            _REGISTRY,
            nodes=_COUNT,
            overrides=_COUNT,
            bad_rows=rows(fields(_BAD, node=nullable(integer()))),
        )
    )
)

MQTT: Final = fields(
    mqtt=nullable(
        fields(
            broker=text(),
            connected=truth(),
            reason=text(),
            connections=_COUNT,
            waiting=_COUNT,
            published=_COUNT,
            dropped=_COUNT,
            commands=nullable(fields(done=_COUNT, dropped=_COUNTS)),
        )
    )
)

_EACH: Final = table(_COUNTS)
COUNTERS: Final = fields(
    counters=fields(
        router=fields(dropped=_COUNTS),
        bridges_=fields(dropped=_COUNTS, each=_EACH),
        uplinks_=fields(each=_EACH),
        homebrew_=fields(
            logins=_COUNT,
            dropped=_COUNTS,
            sockets=rows(
                fields(
                    address=text(),
                    received=_COUNT,
                    too_long=_COUNT,
                    kernel_drops=_COUNT,
                    receive_errors=_COUNT,
                    failed=_COUNT,
                    sent=_COUNT,
                    send_drops=_COUNT,
                    send_errors=_COUNT,
                )
            ),
        ),
    )
)

_PLACE: Final = fields(peer=integer(0, _LARGEST_ID), slot=_SLOT)
TALKGROUPS: Final = fields(
    talkgroups=rows(
        fields(
            talkgroup=integer(),
            static=rows(_PLACE),
            dynamic=rows(_PLACE),
            nodes=rows(integer()),
            calls=rows(_STREAM),
        )
    )
)

CLUSTER: Final = fields(
    env=text(),
    nodes=rows(fields(id=text(), address=text(), port=integer(0, 0xFFFF), pid=_COUNT)),
    local=text(),
)

HEALTH: Final = rows(
    fields(
        Node=text(),
        CheckID=text(),
        Name=text(),
        Status=text(enum=["passing", "warning", "critical"]),
        Notes=text(),
        Output=text(description="empty for those who may not look"),
        ServiceID=text(),
        ServiceName=text(),
        ServiceTags=rows(text()),
    )
)

SYSTEM: Final = fields(
    network=integer(),
    environment=text(),
    software=text(),
    version=text(),
    python=text(),
    host=text(),
    system=text(),
    processors=integer(1),
    load=rows(number()),
    pid=integer(1),
    boot=text(pattern="^[0-9a-f]{16}$"),
    since=_MOMENT,
    uptime=_SECONDS,
    cpu_seconds=_SECONDS,
    memory=integer(0, description="bytes"),
    lag=_SECONDS,
)
STATUS: Final = fields(
    network=integer(),
    draining=truth(),
    peers=_COUNT,
    calls=_COUNT,
    talkgroups=_COUNT,
    nodes=_COUNT,
    links=_COUNT,
    port=integer(0, 0xFFFF),
    transports=rows(text()),
    registry=nullable(
        fields(available=truth(), age=nullable(number(minimum=0, description="seconds")))
    ),
    broker=nullable(truth()),
    frames=_COUNT,
)
LIST: Final = fields(
    network=integer(),
    list=rows(
        fields(
            id=integer(0, _LARGEST_ID),
            callsign=text(),
            software=text(),
            package=text(),
            colour_code=integer(),
            rx_frequency=integer(),
            tx_frequency=integer(),
            since=_MOMENT,
        )
    ),
)

HEARD: Final = fields(
    Event=text(enum=["Session-Start", "Session-Update", "Session-Stop"]),
    Master=integer(),
    SessionID=text(format="uuid"),
    SessionType=integer(description="7 voice to a group, 5 voice to a radio, 6 and 4 data"),
    LinkName=text(),
    LinkType=integer(description="1 hotspot or repeater, 2 another node or network"),
    LinkCall=text(),
    ContextID=integer(),
    Slot=_SLOT,
    SourceID=integer(),
    SourceCall=text(),
    SourceName=text(),
    DestinationID=integer(),
    DestinationName=text(),
    ReflectorID=integer(),
    TalkerAlias=text(),
    Route=_COUNT,
    LossCount=_COUNT,
    TotalCount=_COUNT,
    Start=integer(description="seconds since 1970"),
    Stop=integer(description="seconds since 1970; 0 while it is on"),
)
LASTHEARD: Final = fields(lastheard=rows(HEARD))

ORDERS: Final = fields(
    orders=nullable(
        fields(
            draining=truth(),
            banned=rows(fields(peer=integer(0, _LARGEST_ID), reason=text())),
            static=rows(
                fields(
                    peer=integer(0, _LARGEST_ID),
                    slot1=nullable(_TALKGROUPS),
                    slot2=nullable(_TALKGROUPS),
                )
            ),
        )
    )
)

SESSION: Final = fields(
    session=fields(token=nullable(text()), right=text(enum=["nothing", "look", "read", "control"]))
)
PATH: Final = fields(
    path=fields(node=integer(), transport=nullable(text()), done=truth(), reason=text())
)
RELOAD: Final = fields(reload=fields(applied=rows(text()), waiting=rows(text())))
DRAIN: Final = fields(drain=fields(draining=truth(), peers=_COUNT))
PEER: Final = fields(peer=fields(id=integer(0, _LARGEST_ID), here=truth()))
STATIC: Final = fields(
    peer=fields(id=integer(0, _LARGEST_ID), here=truth(), slot1=_TALKGROUPS, slot2=_TALKGROUPS)
)
OVERRIDE: Final = fields(override=fields(node=integer(), transport=nullable(text())))
DROPPED: Final = fields(dropped=fields(stream=_STREAM, calls=integer(1)))
MESSAGE: Final = fields(message=fields(destination=integer(), private=truth()))

# Orders.

_PEER: Final = integer(1, _LARGEST_ID, description="ID of a hotspot or repeater")
_NODE: Final = integer(1000, 9_999_999, description="node ID")
_TRANSPORT: Final = text(minLength=1, maxLength=32, pattern="^[a-z][a-z0-9-]*$")
_REASON: Final = text(minLength=1, maxLength=200, pattern="^[ -~]*$", description="for the log")
_WANTED: Final = nullable(
    rows(
        integer(1, _LARGEST_TALKGROUP),
        maxItems=_MOST_TALKGROUPS,
        description="null for what the configuration says",
    )
)

NOTHING: Final = fields()
A_PATH: Final = fields(node=_NODE, transport={**_TRANSPORT, "description": "or auto"})
A_PEER: Final = fields(peer=_PEER)
A_PEER_AND_REASON: Final = fields(peer=_PEER, reason_=_REASON)
TALKGROUPS_OF_PEER: Final = fields(peer=_PEER, slot1_=_WANTED, slot2_=_WANTED)
AN_OVERRIDE: Final = fields(
    node=_NODE,
    transport=nullable({**_TRANSPORT, "description": "null to take it back"}),
    address_=text(maxLength=255, pattern="^[!-~]*$"),
    port_=integer(0, 0xFFFF),
    key_=text(maxLength=32, pattern="^[A-Za-z0-9_-]*$"),
)
A_CALL: Final = fields(stream=_STREAM, source_=integer(1, _LARGEST_RADIO))
A_MESSAGE: Final = fields(
    source=integer(1, _LARGEST_RADIO),
    destination=integer(1, _LARGEST_RADIO),
    private=truth(),
    text=text(minLength=1, maxLength=1000),
)
A_TOKEN: Final = fields(token=text(minLength=1, maxLength=256))
