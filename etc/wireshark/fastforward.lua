-- Shows the packets of FastForward, by which the nodes of a bmff network pass calls to one another, in
-- Wireshark and tshark. Published: docs/fastforward.md, which the names and orders of all fields follow.
--
-- Load it with -X lua_script:fastforward.lua, or copy it to the folder of personal Lua plugins that
-- Wireshark names under Help > About > Folders. It takes the packets on the ports of its preference (54000),
-- those that it knows by their look on other UDP ports, and what is given to it with "Decode As".
--
-- What is said in sealed packets cannot be seen here. A node that keeps a key log can open its own:
-- bmffctl decrypt CAPTURE KEYLOG OUTPUT writes a capture with packets of the type 0x84, which are data packets
-- in the clear; no such packet is ever sent.
--
-- Works with Lua 5.2 to 5.4 (Wireshark 3.6 and later).

local proto = Proto("fastforward", "FastForward (bmff)")

local INITIATION, RESPONSE, COOKIE, DATA, CLEAR = 1, 2, 3, 4, 0x84
local TYPES = {
    [INITIATION] = "initiation",
    [RESPONSE] = "response",
    [COOKIE] = "cookie reply",
    [DATA] = "data",
    [CLEAR] = "data, in the clear",
}

local FRAME, SEGMENT, ACKNOWLEDGEMENT, MEASUREMENT, GOODBYE, CHALLENGE, ANSWER = 1, 2, 3, 4, 5, 6, 7
local MISSING, COPIES = 8, 9
local KINDS = {
    [FRAME] = "frame",
    [SEGMENT] = "segment",
    [ACKNOWLEDGEMENT] = "acknowledgement",
    [MEASUREMENT] = "measurement",
    [GOODBYE] = "goodbye",
    [CHALLENGE] = "challenge",
    [ANSWER] = "answer",
    [MISSING] = "missing",
    [COPIES] = "copies",
}

local INTEREST, LOCATIONS, APPLICATION, WHOLE_WANTED = 1, 2, 3, 4
local CONTROL_KINDS = {
    [INTEREST] = "interest",
    [LOCATIONS] = "locations",
    [APPLICATION] = "application",
    [WHOLE_WANTED] = "whole wanted",
}

local FRAME_TYPES = { [0] = "voice", [1] = "voice with sync", [2] = "data with sync", [3] = "not used" }
local VOICE_BURSTS = { [0] = "A", [1] = "B", [2] = "C", [3] = "D", [4] = "E", [5] = "F" }
local DATA_TYPES = { -- ETSI TS 102 361-1 9.3.6
    [0] = "PI header",
    [1] = "voice header",
    [2] = "terminator",
    [3] = "CSBK",
    [4] = "MBC header",
    [5] = "MBC continuation",
    [6] = "data header",
    [7] = "rate 1/2 data",
    [8] = "rate 3/4 data",
    [9] = "idle",
    [10] = "rate 1 data",
}

local TCP = 2 -- the value of pinfo.port_type
local HEADER = 13 -- bytes: type, session index, counter
local TAG = 16
local VERSION = "bmff-ff-"
local VERSION_SIZE = 9

local f = {}
local function field(name, make, label, ...)
    f[name] = make("fastforward." .. name, label, ...)
end

field("type", ProtoField.uint8, "Type", base.DEC_HEX, TYPES)
field("index", ProtoField.uint32, "Session index of the receiver", base.HEX)
field("sender_index", ProtoField.uint32, "Session index of the sender", base.HEX)
field("initiator", ProtoField.uint32, "Initiator's node ID", base.DEC)
field("responder", ProtoField.uint32, "Responder's node ID", base.DEC)
field("to", ProtoField.uint32, "Receiver's node ID", base.DEC)
field("version", ProtoField.string, "Version")
field("environment", ProtoField.string, "Environment")
field("key", ProtoField.string, "Key id")
field("transport", ProtoField.string, "Transport")
field("ephemeral", ProtoField.bytes, "Ephemeral public key")
field("greeting", ProtoField.bytes, "Greeting, sealed")
field("mac1", ProtoField.bytes, "mac1")
field("mac2", ProtoField.bytes, "mac2")
field("nonce", ProtoField.bytes, "Nonce")
field("cookie", ProtoField.bytes, "Cookie, sealed")
field("tag", ProtoField.bytes, "Tag")
field("counter", ProtoField.uint64, "Counter", base.DEC)
field("sealed", ProtoField.bytes, "Send time and messages, sealed")
field("send_time", ProtoField.uint32, "Send time (microseconds)", base.DEC)

field("message", ProtoField.none, "Message")
field("message.kind", ProtoField.uint8, "Kind", base.DEC, KINDS)
field("message.size", ProtoField.uint16, "Size of the body", base.DEC)
field("message.body", ProtoField.bytes, "Body")
field("message.rest", ProtoField.bytes, "Further bytes")

field("frame.index", ProtoField.uint32, "Index", base.DEC)
field("frame.source", ProtoField.uint24, "Source", base.DEC)
field("frame.destination", ProtoField.uint24, "Destination", base.DEC)
field("frame.flags", ProtoField.uint8, "Flags", base.HEX)
field("frame.slot", ProtoField.uint8, "Slot", base.DEC)
field("frame.private", ProtoField.bool, "Private", 8, nil, 0x40)
field("frame.type", ProtoField.uint8, "Frame type", base.DEC, FRAME_TYPES, 0x30)
field("frame.voice", ProtoField.uint8, "Voice burst", base.DEC, VOICE_BURSTS, 0x0f)
field("frame.data_type", ProtoField.uint8, "Data type", base.DEC, DATA_TYPES, 0x0f)
field("frame.stream", ProtoField.uint32, "Stream ID", base.HEX)
field("frame.burst", ProtoField.bytes, "Burst")
field("frame.ber", ProtoField.uint8, "Bit errors", base.DEC)
field("frame.rssi", ProtoField.int16, "Received strength (dBm)", base.DEC)

field("segment.row", ProtoField.uint32, "Row of numbers", base.HEX)
field("segment.other", ProtoField.uint32, "Receiver's row of numbers", base.HEX)
field("segment.number", ProtoField.uint32, "Number", base.DEC)
field("segment.last", ProtoField.bool, "The control message ends with it")
field("segment.data", ProtoField.bytes, "Data")
field("acknowledgement.row", ProtoField.uint32, "Row of numbers", base.HEX)
field("acknowledgement.number", ProtoField.uint32, "All segments up to", base.DEC)

field("measurement.time", ProtoField.uint32, "Time (microseconds)", base.DEC)
field("measurement.echo", ProtoField.uint32, "Echo (microseconds)", base.DEC)
field("measurement.hold", ProtoField.uint32, "Hold (microseconds)", base.DEC)
field("measurement.highest", ProtoField.uint64, "Highest counter received", base.DEC)
field("measurement.received", ProtoField.uint64, "Packets received", base.DEC)
field("measurement.sent", ProtoField.uint64, "Packets sent", base.DEC)
field("measurement.lag", ProtoField.uint32, "Lag (microseconds)", base.DEC)
field("measurement.load", ProtoField.uint16, "Load (thousandths)", base.DEC)
field("measurement.interest_version", ProtoField.uint32, "Version of the interest", base.DEC)
field("measurement.interest_digest", ProtoField.uint64, "Digest of the interest", base.HEX)
field("measurement.seen_at", ProtoField.string, "Receiver is seen at")
field("measurement.transports", ProtoField.string, "Sender's transports")

field("goodbye.reason", ProtoField.string, "Reason")
field("challenge.bits", ProtoField.uint64, "Bits", base.HEX)
field("answer.bits", ProtoField.uint64, "Bits", base.HEX)
field("missing.session", ProtoField.uint32, "Session index in the packets", base.HEX)
field("missing.after", ProtoField.uint64, "Nothing from this counter on", base.DEC)
field("missing.first", ProtoField.uint64, "First counter", base.DEC)
field("missing.bitmap", ProtoField.bytes, "Bitmap")
field("missing.counter", ProtoField.uint64, "Missing counter", base.DEC)
field("copies.session", ProtoField.uint32, "Session index in the packet", base.HEX)
field("copies.counter", ProtoField.uint64, "Counter of the packet", base.DEC)

field("control", ProtoField.none, "Control message")
field("control.kind", ProtoField.uint8, "Control kind", base.DEC, CONTROL_KINDS)
field("interest.version", ProtoField.uint32, "Version", base.DEC)
field("interest.flags", ProtoField.uint8, "Flags: 1 whole, 2 ranges follow", base.HEX)
field("interest.range_count", ProtoField.uint16, "Ranges", base.DEC)
field("interest.first", ProtoField.uint24, "First talkgroup of a range", base.DEC)
field("interest.last", ProtoField.uint24, "Last talkgroup of a range", base.DEC)
field("interest.added_count", ProtoField.uint32, "Talkgroups added", base.DEC)
field("interest.removed_count", ProtoField.uint32, "Talkgroups removed", base.DEC)
field("interest.added", ProtoField.uint24, "Added talkgroup", base.DEC)
field("interest.removed", ProtoField.uint24, "Removed talkgroup", base.DEC)
field("location", ProtoField.none, "Location")
field("location.radio", ProtoField.uint32, "Radio", base.DEC)
field("location.peer", ProtoField.uint32, "Heard by", base.DEC)
field("location.slot", ProtoField.uint8, "Slot", base.DEC)
field("location.age", ProtoField.uint32, "Age (tenths of a second)", base.DEC)
field("application.name", ProtoField.string, "Name of the handler")
field("application.payload", ProtoField.bytes, "Payload")

local fields = {}
for _, one in pairs(f) do
    fields[#fields + 1] = one
end
proto.fields = fields

local malformed =
    ProtoExpert.new("fastforward.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
local cut =
    ProtoExpert.new("fastforward.cut", "Not captured whole", expert.group.PROTOCOL, expert.severity.NOTE)
local unknown =
    ProtoExpert.new("fastforward.unknown", "Unknown", expert.group.UNDECODED, expert.severity.NOTE)
proto.experts = { malformed, cut, unknown }

proto.prefs.ports =
    Pref.range("Ports", "54000", "UDP and TCP ports of nodes, such as 54000-54010,62000", 65535)

-- What earlier packets of the capture have told: by session index the node ID of its end, and between which
-- nodes its handshake is; by direction, row and number of a segment whether it was the last of its control message.
local nodes, handshakes, segments = {}, {}, {}

function proto.init()
    nodes, handshakes, segments = {}, {}, {}
end

-- A view of bytes from `at` up to `finish`, which notes in the tree what is missing instead of reading it. A
-- capture may end before `finish`; that is noted once, at the packet.
local Bytes = {}
Bytes.__index = Bytes

local function bytesOf(tvb, at, finish)
    return setmetatable({ tvb = tvb, at = at, finish = finish }, Bytes)
end

function Bytes:left()
    return self.finish - self.at
end

-- The next `size` bytes as a range; or nil, and an expert info if it is not the capture that lacks them.
function Bytes:take(size, tree, what)
    if self:left() < size then
        tree:add_proto_expert_info(malformed, "truncated: " .. what)
        return nil
    elseif self.at + size > self.tvb:len() then
        return nil
    end
    local range = self.tvb(self.at, size)
    self.at = self.at + size
    return range
end

-- Whether there is another byte to be read.
function Bytes:more()
    return self:left() > 0 and self.at < self.tvb:len()
end

-- The next `size` bytes, or as many as there are, without going on behind them; there is one at least.
function Bytes:view(size)
    return self.tvb(self.at, math.min(size, self.tvb:len() - self.at))
end

-- Adds the next fields to the tree: { name, size }, ... Returns their ranges by name, or nil and an expert info.
function Bytes:fields(tree, list)
    local found = {}
    for _, one in ipairs(list) do
        local range = self:take(one[2], tree, one[1])
        if not range then
            return nil
        end
        tree:add(f[one[1]], range)
        found[one[1]] = range
    end
    return found
end

-- Adds all that is left as one field, if there is anything.
function Bytes:rest(tree, name)
    if self:more() then
        tree:add(f[name], self:view(self:left()))
        self.at = self.finish
    end
end

-- Adds a text that begins with its length in one byte. Returns it, or nil and an expert info.
function Bytes:text(tree, name)
    local size = self:take(1, tree, "length of " .. name)
    local range = size and self:text_of(size:uint(), tree, name)
    if not range then
        return nil
    end
    local value = ""
    if size:uint() > 0 then
        value = range:string(ENC_UTF_8)
    end
    tree:add(f[name], range, value)
    return value
end

function Bytes:text_of(size, tree, name)
    if size == 0 then
        return self.tvb(self.at - 1, 1)
    end
    return self:take(size, tree, name)
end

-- What stands in the Info column of one packet.
local function say(words, text)
    words[#words + 1] = text
end

local function generated(tree, name, value)
    tree:add(f[name], value):set_generated()
end

local function hex(number)
    return string.format("%08x", number)
end

local function initiation(bytes, tree, words)
    local index = bytes:fields(tree, { { "sender_index", 4 } })
    local version = index and bytes:take(VERSION_SIZE, tree, "version")
    if not version then
        return
    end
    tree:add(f.version, version)
    if version:string():sub(1, #VERSION) ~= VERSION then
        tree:add_proto_expert_info(malformed, "the prologue is of another protocol")
        return
    end
    local environment = bytes:text(tree, "environment")
    local ends = environment and bytes:fields(tree, { { "initiator", 4 }, { "responder", 4 } })
    local key = ends and bytes:text(tree, "key")
    if not key or not bytes:text(tree, "transport") then
        return
    end
    local from, to = ends.initiator:uint(), ends.responder:uint()
    say(words, string.format("initiation %u > %u key %s", from, to, key))
    -- The greeting is what stands between the ephemeral key and the two macs.
    local greeting = bytes:left() - 32 - 2 * TAG
    if greeting < TAG then
        bytes:take(32 + 3 * TAG, tree, "Noise message and macs")
        return
    end
    local last =
        bytes:fields(tree, { { "ephemeral", 32 }, { "greeting", greeting }, { "mac1", TAG }, { "mac2", TAG } })
    local number = index.sender_index:uint()
    nodes[number] = from
    handshakes[number] = { from = from, to = to }
    if last and last.mac2:bytes():tohex():find("[^0]") then
        say(words, "with a cookie")
    end
end

local function response(bytes, tree, words)
    local found = bytes:fields(tree, { { "sender_index", 4 }, { "index", 4 } })
    if not found then
        return
    end
    local from, to = found.sender_index:uint(), found.index:uint()
    local ends = handshakes[to]
    if ends then
        nodes[from] = ends.to
        generated(tree, "responder", ends.to)
        generated(tree, "initiator", ends.from)
        say(words, string.format("response %u > %u", ends.to, ends.from))
    else
        say(words, string.format("response %s > %s", hex(from), hex(to)))
    end
    local greeting = bytes:left() - 32 - TAG
    if greeting < TAG then
        bytes:take(32 + 2 * TAG, tree, "Noise message and mac")
        return
    end
    bytes:fields(tree, { { "ephemeral", 32 }, { "greeting", greeting }, { "mac1", TAG } })
end

local function cookie(bytes, tree, words)
    local found = bytes:fields(tree, { { "index", 4 }, { "nonce", 16 }, { "cookie", 16 }, { "tag", TAG } })
    if not found then
        return
    end
    local ends = handshakes[found.index:uint()]
    if ends then
        say(words, string.format("cookie reply %u > %u", ends.to, ends.from))
    else
        say(words, "cookie reply > " .. hex(found.index:uint()))
    end
    if bytes:more() then
        tree:add_proto_expert_info(malformed, "longer than a cookie reply")
    end
end

-- The header of a data packet. Returns its receiver for people, and its counter, or nil and an expert info.
local function header(bytes, tree)
    local found = bytes:fields(tree, { { "index", 4 }, { "counter", 8 } })
    if not found then
        return nil
    end
    local receiver = nodes[found.index:uint()]
    if receiver then
        generated(tree, "to", receiver)
    end
    return receiver and tostring(receiver) or hex(found.index:uint()), tostring(found.counter:uint64())
end

local function data(bytes, tree, words)
    local receiver, counter = header(bytes, tree)
    if not receiver then
        return
    end
    say(words, string.format("data > %s packet %s, %d bytes sealed", receiver, counter, bytes:left()))
    if bytes:left() < 4 + TAG then
        bytes:take(4 + TAG, tree, "send time and tag")
        return
    end
    bytes:fields(tree, { { "sealed", bytes:left() - TAG }, { "tag", TAG } })
end

local function frame(bytes, tree, words)
    local found = bytes:fields(tree, {
        { "frame.index", 4 },
        { "frame.source", 3 },
        { "frame.destination", 3 },
        { "frame.flags", 1 },
    })
    if not found then
        return
    end
    local range = found["frame.flags"]
    local flags = range:uint()
    local slot = flags >= 0x80 and 2 or 1
    local private = flags % 0x80 >= 0x40
    local kind, number = math.floor(flags / 0x10) % 4, flags % 0x10
    tree:add(f["frame.slot"], range, slot)
    tree:add(f["frame.private"], range)
    tree:add(f["frame.type"], range)
    local what
    if kind == 2 then
        tree:add(f["frame.data_type"], range)
        what = DATA_TYPES[number] or ("data type " .. number)
    else
        tree:add(f["frame.voice"], range)
        what = "voice " .. (VOICE_BURSTS[number] or number)
        if kind == 3 or number > 5 then
            tree:add_proto_expert_info(malformed, "flags that no frame has")
        end
    end
    say(
        words,
        string.format(
            "frame %u > %u%s slot %d %s",
            found["frame.source"]:uint(),
            found["frame.destination"]:uint(),
            private and " private" or "",
            slot,
            what
        )
    )
    tree:append_text(string.format(": %s", words[#words]:sub(7)))
    if not bytes:fields(tree, { { "frame.stream", 4 }, { "frame.burst", 33 }, { "frame.ber", 1 } }) then
        return
    end
    local strength = bytes:take(1, tree, "frame.rssi")
    if strength then
        local item = tree:add(f["frame.rssi"], strength, -strength:uint())
        if strength:uint() == 0 then
            item:append_text(" (not known)")
        end
    end
end

local function talkgroups(bytes, tree, name, count)
    for _ = 1, count do
        if not bytes:fields(tree, { { name, 3 } }) then
            return false
        end
    end
    return true
end

local function interest(bytes, tree)
    local found = bytes:fields(tree, {
        { "interest.version", 4 },
        { "interest.flags", 1 },
        { "interest.added_count", 4 },
        { "interest.removed_count", 4 },
    })
    if not found then
        return "interest"
    end
    local added, removed = found["interest.added_count"]:uint(), found["interest.removed_count"]:uint()
    if talkgroups(bytes, tree, "interest.added", added) then
        talkgroups(bytes, tree, "interest.removed", removed)
    end
    local flags, suffix = found["interest.flags"]:uint(), ""
    if math.floor(flags / 2) % 2 == 1 then
        local count = bytes:fields(tree, { { "interest.range_count", 2 } })
        suffix = string.format(", %u ranges", count and count["interest.range_count"]:uint() or 0)
        while bytes:more() do
            if not bytes:fields(tree, { { "interest.first", 3 }, { "interest.last", 3 } }) then
                break
            end
        end
    end
    if flags % 2 == 1 then
        return string.format("interest, whole: %u talkgroups%s", added, suffix)
    end
    return string.format("interest: %u added, %u removed%s", added, removed, suffix)
end

local function locations(bytes, tree)
    local count = 0
    while bytes:more() do
        local row = tree:add(f.location, bytes:view(math.min(13, bytes:left())))
        local found = bytes:fields(row, {
            { "location.radio", 4 },
            { "location.peer", 4 },
            { "location.slot", 1 },
            { "location.age", 4 },
        })
        if not found then
            break
        end
        count = count + 1
        row:append_text(
            string.format(
                ": radio %u at %u slot %u, %.1f s ago",
                found["location.radio"]:uint(),
                found["location.peer"]:uint(),
                found["location.slot"]:uint(),
                found["location.age"]:uint() / 10
            )
        )
    end
    return string.format("locations of %d", count)
end

local function application(bytes, tree)
    local name = bytes:text(tree, "application.name")
    if not name then
        return "application"
    end
    local size = bytes:left()
    bytes:rest(tree, "application.payload")
    return string.format("application %s, %d bytes", name, size)
end

-- A control message that is whole in one segment. Returns it in words.
local function control(bytes, parent)
    local tree = parent:add(f.control, bytes:view(bytes:left()))
    local range = bytes:take(1, tree, "control kind")
    tree:add(f["control.kind"], range)
    local kind = range:uint()
    local words = CONTROL_KINDS[kind]
    if kind == INTEREST then
        words = interest(bytes, tree)
    elseif kind == LOCATIONS then
        words = locations(bytes, tree)
    elseif kind == APPLICATION then
        words = application(bytes, tree)
    elseif kind ~= WHOLE_WANTED then
        words = string.format("unknown control message (kind %d)", kind)
        tree:add_proto_expert_info(unknown, words)
        bytes.at = bytes.finish
    end
    tree:append_text(": " .. words)
    if bytes:more() then
        tree:add_proto_expert_info(malformed, "longer than its control message")
    end
    return words
end

-- Whether a segment begins a control message: yes or no by the one before it, nil when that was not seen.
local function begins(row, number)
    if number == 1 then
        return true
    end
    return segments[row .. (number - 1)]
end

local function segment(bytes, tree, words, direction)
    local found = bytes:fields(tree, {
        { "segment.row", 4 },
        { "segment.other", 4 },
        { "segment.number", 4 },
        { "segment.last", 1 },
    })
    if not found then
        say(words, "segment")
        return
    end
    local number, last = found["segment.number"]:uint(), found["segment.last"]:uint() ~= 0
    local row = direction .. found["segment.row"]:uint() .. " "
    segments[row .. number] = last
    local text = string.format("segment %u", number)
    local first = begins(row, number)
    if not bytes:more() then
        say(words, text)
        return
    end
    -- Where nothing was seen before, a known kind in its first byte has to do.
    if first == nil then
        first = CONTROL_KINDS[bytes:view(1):uint()] ~= nil
    end
    if first and last then
        text = text .. ": " .. control(bytes, tree)
    else
        text = text .. (last and ", the last part of a control message" or ", part of a control message")
        bytes:rest(tree, "segment.data")
    end
    say(words, text)
end

local function acknowledgement(bytes, tree, words)
    local found = bytes:fields(tree, { { "acknowledgement.row", 4 }, { "acknowledgement.number", 4 } })
    say(words, "acknowledgement" .. (found and " " .. found["acknowledgement.number"]:uint() or ""))
end

local function measurement(bytes, tree, words)
    say(words, "measurement")
    local found = bytes:fields(tree, {
        { "measurement.time", 4 },
        { "measurement.echo", 4 },
        { "measurement.hold", 4 },
        { "measurement.highest", 8 },
        { "measurement.received", 8 },
        { "measurement.sent", 8 },
        { "measurement.lag", 4 },
        { "measurement.load", 2 },
        { "measurement.interest_version", 4 },
        { "measurement.interest_digest", 8 },
    })
    if found and bytes:text(tree, "measurement.seen_at") then
        bytes:text(tree, "measurement.transports")
        bytes:rest(tree, "message.rest") -- a later version may say more
    end
end

local function goodbye(bytes, tree, words)
    local reason = bytes:text(tree, "goodbye.reason")
    say(words, "goodbye" .. (reason and reason ~= "" and ": " .. reason or ""))
end

local function challenge(bytes, tree, words)
    local found = bytes:fields(tree, { { "challenge.bits", 8 } })
    local probe = found and not found["challenge.bits"]:bytes():tohex():find("[^0]")
    say(words, probe and "probe" or "challenge")
end

local function answer(bytes, tree, words)
    bytes:fields(tree, { { "answer.bits", 8 } })
    say(words, "answer")
end

-- Which packets are asked for: the first counter, and a bit for each from it on, the lowest of the first byte first.
local function missing(bytes, tree, words)
    local found =
        bytes:fields(tree, { { "missing.session", 4 }, { "missing.after", 8 }, { "missing.first", 8 } })
    if not found then
        say(words, "missing")
        return
    end
    local counters = {}
    local first, size = found["missing.first"]:uint64(), bytes:left()
    if size > 32 then
        tree:add_proto_expert_info(malformed, "more than 256 counters")
    elseif size > 0 then
        local bitmap = bytes:take(size, tree, "bitmap")
        if bitmap then
            tree:add(f["missing.bitmap"], bitmap)
        end
        for at = 0, bitmap and size * 8 - 1 or -1 do
            local byte = bitmap(math.floor(at / 8), 1)
            if math.floor(byte:uint() / 2 ^ (at % 8)) % 2 == 1 then
                local counter = first + UInt64(at)
                tree:add(f["missing.counter"], byte, counter):set_generated()
                counters[#counters + 1] = tostring(counter)
            end
        end
    end
    local text = "missing"
    if #counters > 0 then
        text = text .. " " .. table.concat(counters, " ")
    end
    local after = found["missing.after"]
    if after:bytes():tohex():find("[^Ff]") then
        text = text .. " and all from " .. tostring(after:uint64())
    end
    say(words, text)
end

local message

-- The frames of a packet once more.
local function copies(bytes, tree, words, direction)
    local found = bytes:fields(tree, { { "copies.session", 4 }, { "copies.counter", 8 } })
    if not found then
        say(words, "copies")
        return
    end
    local frames = {}
    while bytes:more() do
        if bytes:view(1):uint() ~= FRAME then
            tree:add_proto_expert_info(malformed, "copies of something else")
            break
        elseif not message(bytes, tree, frames, direction) then
            break
        end
    end
    local what = #frames > 0 and table.concat(frames, ", ") or "none"
    say(words, string.format("copies of packet %s: %s", tostring(found["copies.counter"]:uint64()), what))
end

local MESSAGES = {
    [SEGMENT] = segment,
    [ACKNOWLEDGEMENT] = acknowledgement,
    [MEASUREMENT] = measurement,
    [GOODBYE] = goodbye,
    [CHALLENGE] = challenge,
    [ANSWER] = answer,
    [MISSING] = missing,
    [COPIES] = copies,
}

-- One message. Returns whether the next one can be found.
function message(bytes, parent, words, direction)
    local begin = bytes.at
    local tree = parent:add(f.message, bytes:view(bytes:left()))
    local range = bytes:take(1, tree, "kind")
    local kind = range:uint()
    local name = KINDS[kind] or "unknown message"
    tree:set_text("Message: " .. name)
    tree:add(f["message.kind"], range)
    if kind == FRAME then
        local size = 50
        if bytes:left() < size then
            say(words, "frame, cut off")
            bytes:take(size, tree, "frame")
            return false
        end
        tree:set_len(math.min(1 + size, bytes.tvb:len() - begin))
        frame(bytesOf(bytes.tvb, bytes.at, bytes.at + size), tree, words)
        bytes.at = bytes.at + size
        return true
    end
    local size = bytes:fields(tree, { { "message.size", 2 } })
    local body = size and bytes:left() >= size["message.size"]:uint()
    if not body then
        say(words, name .. ", cut off")
        if size then
            bytes:take(size["message.size"]:uint(), tree, "body of the message")
        end
        return false
    end
    local finish = bytes.at + size["message.size"]:uint()
    tree:set_len(math.min(finish, bytes.tvb:len()) - begin)
    local inner = bytesOf(bytes.tvb, bytes.at, finish)
    local dissect = MESSAGES[kind]
    if dissect then
        local from = #words
        dissect(inner, tree, words, direction)
        tree:set_text("Message: " .. table.concat(words, ", ", from + 1))
        if inner:more() then
            inner:rest(tree, "message.rest")
            -- What a decoder cannot read whole ends the reading of a packet, except these.
            if kind ~= GOODBYE then
                tree:add_proto_expert_info(malformed, "longer than its message")
            end
        end
    else
        local text = string.format("unknown message (kind %d), %d bytes", kind, inner:left())
        tree:set_text("Message: " .. text)
        tree:add_proto_expert_info(unknown, text)
        inner:rest(tree, "message.body")
        say(words, text)
    end
    bytes.at = finish
    return true
end

local function clear(bytes, tree, words, pinfo)
    if not header(bytes, tree) or not bytes:fields(tree, { { "send_time", 4 } }) then
        return
    end
    local direction = string.format(
        "%s %d %s %d ",
        tostring(pinfo.src),
        pinfo.src_port,
        tostring(pinfo.dst),
        pinfo.dst_port
    )
    while bytes:more() do
        if not message(bytes, tree, words, direction) then
            break
        end
    end
    if #words == 0 then
        say(words, "no message")
    end
end

local PACKETS = {
    [INITIATION] = initiation,
    [RESPONSE] = response,
    [COOKIE] = cookie,
    [DATA] = data,
    [CLEAR] = clear,
}

local said = nil -- the end of the Info column, as the packet before this one has left it

-- One packet, whole.
local function packet(tvb, pinfo, root)
    pinfo.cols.protocol = "FastForward"
    local tree = root:add(proto, tvb())
    local range = tvb(0, 1)
    local kind = range:uint()
    tree:add(f.type, range)
    local words = {}
    local dissect = PACKETS[kind]
    if dissect then
        dissect(bytesOf(tvb, 1, tvb:reported_len()), tree, words, pinfo)
    else
        tree:add_proto_expert_info(malformed, "a type that no packet has")
    end
    local whole = tvb:len() >= tvb:reported_len()
    if #words == 0 then
        say(words, (TYPES[kind] or "unknown type " .. kind) .. (whole and ", malformed" or ""))
    end
    if not whole then
        tree:add_proto_expert_info(cut, string.format("%d of %d bytes", tvb:len(), tvb:reported_len()))
        say(words, "not captured whole")
    end
    local text = table.concat(words, ", ")
    tree:append_text(": " .. text)
    -- A TCP segment can hold several packets: Wireshark keeps what was said of those before, without a gap.
    local follows = pinfo.port_type == TCP and said and tostring(pinfo.cols.info):sub(-#said) == said
    pinfo.cols.info = (follows and "; " or "") .. text
    said = text
    return tvb:len()
end

-- On TCP each packet has its size in front.
local function sizeOf(tvb, _, offset)
    return 2 + tvb(offset, 2):uint()
end

local function packetOfStream(tvb, pinfo, root)
    if tvb:len() < 3 then
        local tree = root:add(proto, tvb())
        tree:add_proto_expert_info(malformed, "a packet of no bytes")
        return tvb:len()
    end
    return 2 + packet(tvb(2):tvb(), pinfo, root)
end

function proto.dissector(tvb, pinfo, root)
    if tvb:len() == 0 then
        return 0
    end
    if pinfo.port_type == TCP then
        dissect_tcp_pdus(tvb, root, 2, sizeOf, packetOfStream)
        return tvb:len()
    end
    return packet(tvb, pinfo, root)
end

-- Whether a datagram on any port looks like one of ours: by its type and size, and by what else can be known.
local function looksOurs(tvb)
    local size = tvb:reported_len()
    if tvb:len() < HEADER + 4 then
        return false
    end
    local kind = tvb(0, 1):uint()
    if kind == INITIATION then
        return size >= 101 and tvb(5, #VERSION):string() == VERSION
    elseif kind == RESPONSE then
        return size >= 73 and size <= 121 and handshakes[tvb(5, 4):uint()] ~= nil
    elseif kind == COOKIE then
        return size == 53 and handshakes[tvb(1, 4):uint()] ~= nil
    elseif kind == DATA or kind == CLEAR then
        -- No session sends 2^32 packets; WireGuard's, whose type is 4 as well, has three zeros after it.
        local smallest = kind == DATA and HEADER + 4 + TAG or HEADER + 4
        return size >= smallest and tvb(5, 4):uint() == 0 and tvb(1, 3):uint() ~= 0
    end
    return false
end

local function heuristic(tvb, pinfo, root)
    if not looksOurs(tvb) then
        return false
    end
    packet(tvb, pinfo, root)
    pinfo.conversation = proto
    return true
end

local udp, tcp = DissectorTable.get("udp.port"), DissectorTable.get("tcp.port")
local registered = nil

local function register()
    if registered == proto.prefs.ports then
        return
    end
    if registered and registered ~= "" then
        udp:remove(registered, proto)
        tcp:remove(registered, proto)
    end
    registered = proto.prefs.ports
    if registered ~= "" then
        udp:add(registered, proto)
        tcp:add(registered, proto)
    end
end

function proto.prefs_changed()
    register()
end

register()
udp:add_for_decode_as(proto)
tcp:add_for_decode_as(proto)
proto:register_heuristic("udp", heuristic)
