-- The registry that nodes of bmff share, as an application of Tarantool: `tarantool registry.lua`.
--
-- Spaces are named as BrandMeister's public description of its clusters names them. What stands in
-- OverriddenNodes is local to this server, all else goes to its replicas. Written for the
-- documented API of Tarantool 2.6 to 3.x (tarantool.io/en/doc).
--
-- All replicas may be written to. Each row bears a stamp, and the later one wins wherever two
-- replicas were written to while they did not see each other. A row that is deleted stays as a
-- tombstone for a while, so that an older write that comes late does not bring it back.

-- Settings: each may be given in the environment, as BMFF_REGISTRY_LISTEN and so on.
local settings = {
    listen = '127.0.0.1:3301',          -- "host:port", or "unix/:/path/of/a.sock"
    folder = '/var/lib/bmff/registry',  -- snapshots, logs, and console.sock
    passwords = '',                     -- file of passwords; "passwords" in the folder when empty
    replicas = '',                      -- "host:port" of all replicas, this one too, with commas
    tunnelled = '',                     -- "yes": what is not on this host runs in a tunnel
    transports = '',                    -- names of third parties' transports, with commas
    memory = '128',                     -- megabytes for all rows
}

local clock = require('clock')
local console = require('console')
local errno = require('errno')
local ffi = require('ffi')
local fiber = require('fiber')
local fio = require('fio')
local log = require('log')
local uri = require('uri')
local uuid = require('uuid')

local VARIABLE = 'BMFF_REGISTRY_'
local SCHEMA_KEY = 'bmff_registry' -- in _schema: the version of the spaces below
local BROADCAST_KEY = 'bmff.registry'
local TOMBSTONE_LIFE = 30 * 86400 -- seconds
local EXPIRY_INTERVAL = 3600 -- seconds
local EXPIRY_BATCH = 100 -- rows between two pauses
local RING = 1024 -- changes that a reader can be behind
local LONGEST_POLL = 10 -- seconds; a reader that was killed is held that long
local MOST_WAITING = 512 -- Tarantool serves 768 requests at once, net_msg_max
local CONFLICTS_KEPT = 1024
local LONGEST_TEXT = 255 -- characters
local LONGEST_LONG_TEXT = 4096 -- characters
local LONGEST_SOCKET = 107 -- bytes, unix(7)

-- The constants of OverriddenNodes, for its console. Their values are the names that nodes know
-- transports by.
FORWARD_TRANSPORT_IP = 'udp'
FORWARD_TRANSPORT_UDP = 'udp'
FORWARD_TRANSPORT_TCP = 'tcp'
FORWARD_TRANSPORT_TLS = 'tls'
FORWARD_TRANSPORT_SHM = 'shm'
FORWARD_TRANSPORT_SOCKET = 'unix'
FORWARD_TRANSPORT_VSOCKET = 'vsock'
FORWARD_TRANSPORT_VSOCK = 'vsock'
FORWARD_TRANSPORT_RDMA = 'rdma'
FORWARD_TRANSPORT_AUTO = 'auto'

local transports = {
    udp = true, tcp = true, tls = true, shm = true, unix = true, vsock = true, rdma = true,
    auto = true,
}

-- Values ------------------------------------------------------------------------------------------

local function shown(value)
    if value == nil then
        return 'null'
    end
    local text = tostring(value)
    if #text > 64 then
        text = text:sub(1, 64) .. '...'
    end
    if type(value) ~= 'string' then
        return (text:gsub('U?LL$', '')) -- as LuaJIT marks large numbers
    end
    local unprintable = utf8.len(text) and '[%c"\\]' or '[^\32-\126]'
    return '"' .. text:gsub(unprintable, function(byte)
        return ('\\x%02x'):format(byte:byte())
    end) .. '"'
end

local function isWhole(value)
    if type(value) == 'number' then
        return value % 1 == 0
    end
    return ffi.istype('uint64_t', value) or ffi.istype('int64_t', value)
end

-- A check says what is wrong with a value, or nil.
local function whole(first, last)
    return function(value)
        if not isWhole(value) then
            return shown(value) .. ' is no whole number'
        end
        -- An unsigned value of the C library is never below 0, and is not to be compared with it.
        local below = not ffi.istype('uint64_t', value) and value < 0
        if below or value < first or value > last then
            return ('%s is not in %s to %s'):format(shown(value), shown(first), shown(last))
        end
    end
end

local function textUpTo(longest)
    return function(value)
        if type(value) ~= 'string' then
            return shown(value) .. ' is no text'
        end
        local length = utf8.len(value)
        if length == nil or value:find('%c') then
            return shown(value) .. ' holds what cannot be printed'
        end
        if length > longest then
            return ('is longer than %d characters'):format(longest)
        end
    end
end

local text = textUpTo(LONGEST_TEXT)
-- Nodes read what is in it, and leave a row out that they cannot.
local longText = textUpTo(LONGEST_LONG_TEXT)

local function seconds(value)
    local number = type(value) == 'number' and value or isWhole(value) and tonumber(value)
    if not number or not (number >= 0 and number < math.huge) then
        return shown(value) .. ' is no number of seconds'
    end
end

local function flag(value)
    if type(value) ~= 'boolean' then
        return shown(value) .. ' is neither true nor false'
    end
end

local function keyID(value)
    if isWhole(value) then
        return value ~= 0 and shown(value) .. ' is no id of a key: 0 or text' or nil
    end
    return text(value)
end

local function transport(value)
    if type(value) == 'string' and transports[value] then
        return nil
    end
    local names = {}
    for name in pairs(transports) do
        table.insert(names, name)
    end
    table.sort(names)
    return ('%s is no transport; there is %s'):format(shown(value), table.concat(names, ', '))
end

-- Spaces ------------------------------------------------------------------------------------------

local ID = whole(1, 0xFFFFFFFF) -- of a hotspot or repeater
local NODE = whole(1, 9999999)
local RADIO = whole(1, 0xFFFFFF)
local SLOT = whole(1, 2)
local PROCESS = whole(1, 4194304) -- PID_MAX_LIMIT, proc_pid_sys_kernel(5)
local BOOT = whole(0, 18446744073709551615ULL)

-- Columns: name, type, check, whether it may be absent. The first `key` of them are the key. The
-- changes of a silent space are not in the feed. Columns that came later stand after the stamps:
-- rows that are there have theirs where they were, and so has a replica with an older script.
local spaces = {
    -- What a node says of itself.
    Nodes = {key = 1, stamped = true, columns = {
        {'node', 'unsigned', NODE},
        {'address', 'string', text},
        {'port', 'unsigned', whole(1, 0xFFFF)},
        {'boot', 'unsigned', BOOT}, -- new at each start of the node
        {'pid', 'unsigned', PROCESS},
        {'seen', 'number', seconds}, -- since 1970
        {'fingerprint', 'string', text, true},
    }},
    -- How the readers of this very server reach a node.
    OverriddenNodes = {key = 1, stamped = false, columns = {
        {'node', 'unsigned', NODE},
        {'key', 'scalar', keyID}, -- 0 or empty for the default one
        {'transport', 'string', transport},
        {'address', 'string', text},
        {'port', 'unsigned', whole(0, 0xFFFF)},
    }},
    -- Who may log in. What is null is as the node's configuration says.
    Peers = {key = 1, stamped = true, columns = {
        {'peer', 'unsigned', ID},
        {'secret', 'string', text, true}, -- the id of a password in the nodes' secrets files
        {'banned', 'boolean', flag, true},
        {'single', 'boolean', flag, true}, -- keying a talkgroup leaves the one keyed before
        {'timeout', 'number', seconds, true}, -- until a talkgroup that was keyed is left
        {'options', 'boolean', flag, true}, -- it may set its own talkgroups
    }, later = {
        {'dial', 'boolean', flag, true}, -- a private call to a talkgroup's number links it
        {'auto_static', 'boolean', flag, true}, -- simplex, it keeps what was keyed
        {'hold_off', 'number', seconds, true}, -- after its own talk, for other talkgroups
        {'allow_talkgroups', 'string', longText, true}, -- '91, 2600-2699'
        {'deny_talkgroups', 'string', longText, true},
        {'translate', 'string', longText, true}, -- '{there = 8, here = 2628, slot = 2}; {...}'
    }},
    -- Static talkgroups.
    Subscriptions = {key = 3, stamped = true, columns = {
        {'peer', 'unsigned', ID},
        {'slot', 'unsigned', SLOT},
        {'talkgroup', 'unsigned', RADIO},
    }},
    -- Where radios were heard last. Nodes tell each other by their links, and read this at a start.
    Locations = {key = 1, stamped = true, silent = true, columns = {
        {'radio', 'unsigned', RADIO},
        {'node', 'unsigned', NODE},
        {'peer', 'unsigned', ID},
        {'slot', 'unsigned', SLOT},
        {'heard', 'number', seconds}, -- since 1970
    }},
}

-- What follows the columns of a stamped space. A row is never without, but whoever writes one is:
-- later versions of Tarantool look at the format before a trigger can set them.
local STAMPS = {
    {'version', 'unsigned'}, -- microseconds since 1970, or one more than what it replaces
    {'writer', 'unsigned'}, -- the replica that it was written at
    {'deleted', 'boolean'}, -- a tombstone
}

for _, space in pairs(spaces) do
    local count = #space.columns
    space.version, space.writer, space.deleted = count + 1, count + 2, count + 3
    space.most = count + (space.stamped and #STAMPS or 0) + #(space.later or {})
    space.placed = {} -- each column with its place
    for place, column in ipairs(space.columns) do
        table.insert(space.placed, {place, column})
    end
    for number, column in ipairs(space.later or {}) do
        table.insert(space.placed, {count + #STAMPS + number, column})
    end
end

local function formatOf(space)
    local format = {}
    for number, column in ipairs(space.stamped and STAMPS or {}) do
        format[#space.columns + number] = {name = column[1], type = column[2], is_nullable = true}
    end
    for _, one in ipairs(space.placed) do
        local place, column = one[1], one[2]
        format[place] = {name = column[1], type = column[2], is_nullable = column[4] or false}
    end
    return format
end

local function create(name)
    local space = spaces[name]
    local key, live = {}, {{field = space.deleted, type = 'boolean', is_nullable = true}}
    for place = 1, space.key do
        table.insert(key, {field = place, type = space.columns[place][2]})
        table.insert(live, {field = place, type = space.columns[place][2]})
    end
    local made = box.schema.space.create(
        name, {format = formatOf(space), is_local = not space.stamped}
    )
    made:create_index('primary', {parts = key})
    if space.stamped then
        made:create_index('live', {parts = live}) -- live:select{false} leaves tombstones out
    end
end

-- What takes the spaces from version n, its place here, to n + 1. A step that was released is
-- never changed. A step may have been done in part: the server can die in it.
local steps = {
    function()
        for _, name in ipairs({'Nodes', 'OverriddenNodes', 'Peers', 'Subscriptions'}) do
            if box.space[name] == nil then
                create(name)
            end
        end
    end,
    function()
        if box.space.Locations == nil then
            create('Locations')
        end
    end,
    function()
        box.space.Peers:format(formatOf(spaces.Peers))
    end,
}

local schema -- the version of the spaces when this server began: clients may not read _schema

local function schemaVersion()
    local row = box.space._schema:get(SCHEMA_KEY)
    schema = row == nil and 0 or row[2]
    return schema
end

-- The feed of changes -----------------------------------------------------------------------------

local epoch = uuid.str() -- a reader that knows another has to read everything again
local sequence = 0
local ring = {}
local changed = fiber.cond()
local waiting = 0

local function publish(change)
    sequence = sequence + 1
    ring[sequence % RING] = change
    changed:broadcast()
end

local function since(known)
    local changes = {}
    for number = known + 1, sequence do
        table.insert(changes, ring[number % RING])
    end
    return changes
end

local function keyOf(name, row)
    local key = {}
    for place = 1, spaces[name].key do
        key[place] = row[place]
    end
    return key
end

-- A change is told only when it is in the log: until then it may be rolled back.
local function told(name)
    local space = spaces[name]
    local function live(row)
        return row ~= nil and not (space.stamped and row[space.deleted])
    end
    return function(old, new)
        if space.silent or not (live(old) or live(new)) then
            return
        end
        local row = live(new) and new or box.NULL
        local change = {name, keyOf(name, new ~= nil and new or old), row}
        box.on_commit(function() publish(change) end)
    end
end

-- Writing -----------------------------------------------------------------------------------------

local conflicts = 0
local lastConflicts = {}

-- The columns of a row; whoever writes need not give the stamps, and whatever is given is not used.
local function checked(name, row)
    local space, mistakes, values = spaces[name], {}, {}
    if #row > space.most then
        table.insert(mistakes, ('has %d fields, %d at most'):format(#row, space.most))
    end
    for _, one in ipairs(space.placed) do
        local place, column = one[1], one[2]
        local value = row[place]
        values[place] = value == nil and box.NULL or value
        local mistake = not (value == nil and column[4]) and column[3](value)
        if mistake then
            table.insert(mistakes, ('%s: %s'):format(column[1], mistake))
        end
    end
    if #mistakes > 0 then
        error(('%s: %s'):format(name, table.concat(mistakes, '; ')), 0)
    end
    return values
end

local function newer(space, one, other)
    if one[space.version] ~= other[space.version] then
        return one[space.version] > other[space.version]
    end
    return one[space.writer] > other[space.writer]
end

local function microseconds()
    return clock.time64() / 1000
end

local function hasExpired(space, row, now)
    return row[space.deleted] and row[space.version] + TOMBSTONE_LIFE * 1000000ULL < now
end

-- What another replica has written.
local function arrived(name, old, new)
    local space = spaces[name]
    if old == nil then
        return new
    end
    if new == nil then -- a tombstone has expired there: has it here?
        return not hasExpired(space, old, microseconds()) and old or nil
    end
    if newer(space, new, old) then
        return new
    end
    if newer(space, old, new) then
        conflicts = conflicts + 1
        lastConflicts[conflicts % CONFLICTS_KEPT] = {
            name, keyOf(name, old), old[space.writer], new[space.writer], new,
        }
    end
    return old
end

local function stamp(name, old, new, operation)
    local space = spaces[name]
    local gone = old ~= nil and old[space.deleted]
    if new == nil then
        if fiber.self().storage.expiring then
            return nil
        end
        if old == nil or gone then
            return old
        end
    elseif operation == 'UPSERT' then
        -- It would be made from what a tombstone has kept.
        error(name .. ': upsert is not to be had here; use replace', 0)
    elseif operation == 'UPDATE' and gone then
        return old
    elseif operation == 'INSERT' and old ~= nil and not gone then
        -- With its stamp it would go on as a replace.
        error(name .. ': there is a row with this key', 0)
    end
    local version = microseconds()
    if old ~= nil and old[space.version] >= version then
        version = old[space.version] + 1ULL
    end
    if new == nil then
        return old:update({
            {'=', space.version, version},
            {'=', space.writer, box.info.id},
            {'=', space.deleted, true},
        })
    end
    local values = checked(name, new)
    values[space.version], values[space.writer], values[space.deleted] = version, box.info.id, false
    return box.tuple.new(values)
end

local function ruled(name)
    if not spaces[name].stamped then
        return function(_, new)
            if new ~= nil then
                checked(name, new)
            end
            return new
        end
    end
    return function(old, new, _, operation)
        if box.session.type() == 'applier' then
            return arrived(name, old, new)
        end
        return stamp(name, old, new, operation)
    end
end

local function install()
    for name in pairs(spaces) do
        local space = box.space[name]
        if space ~= nil and #space:before_replace() == 0 then
            space:before_replace(ruled(name))
            space:on_replace(told(name))
        end
    end
end

-- What clients call -------------------------------------------------------------------------------

-- All live rows of some spaces (of all when absent) at one moment: epoch, sequence, rows by space.
local function readRows(names)
    local rows = {}
    if names ~= nil and type(names) ~= 'table' then
        error(('names: %s is no list of spaces'):format(shown(names)), 0)
    end
    if names == nil then
        names = {}
        for name in pairs(spaces) do
            table.insert(names, name)
        end
    end
    for _, name in ipairs(names) do
        local space = spaces[name]
        if space == nil then
            error(('there is no space %s'):format(shown(name)), 0)
        end
        rows[name] = space.stamped and box.space[name].index.live:select({false})
            or box.space[name]:select({}, {fullscan = true})
    end
    return epoch, sequence, rows
end

-- The changes after one that is known, at once or when there is one: epoch, sequence, and a list
-- of {space, key, row, or null where it was deleted}; null in place of the list when everything
-- has to be read again. The list is empty when the time is over.
local function waitChanges(known, itsEpoch, timeout)
    if type(known) ~= 'number' or known % 1 ~= 0 or known < 0 then
        error('since: ' .. shown(known) .. ' is no sequence', 0)
    end
    if type(timeout) ~= 'number' or timeout ~= timeout then
        error('timeout: ' .. shown(timeout) .. ' is no number of seconds', 0)
    end
    if itsEpoch ~= epoch or known > sequence or sequence - known > RING then
        return epoch, sequence, box.NULL
    end
    if known == sequence and timeout > 0 then
        if waiting >= MOST_WAITING then
            error(('%d are waiting already'):format(waiting), 0)
        end
        waiting = waiting + 1
        local deadline = clock.monotonic() + math.min(timeout, LONGEST_POLL)
        local fine, reason = pcall(function()
            while sequence == known do
                local left = deadline - clock.monotonic()
                if left <= 0 or not changed:wait(left) then
                    return
                end
            end
        end)
        waiting = waiting - 1
        if not fine then
            error(reason)
        end
    end
    if sequence - known > RING then
        return epoch, sequence, box.NULL
    end
    return epoch, sequence, since(known)
end

-- How the server is, as a map.
local function status()
    local replicas = {}
    for id, replica in pairs(box.info.replication) do
        local upstream = replica.upstream or {}
        table.insert(replicas, {
            id = id, uuid = replica.uuid, here = id == box.info.id,
            status = upstream.status, lag = upstream.lag, reason = upstream.message,
        })
    end
    return {
        epoch = epoch, sequence = sequence, waiting = waiting, conflicts = conflicts,
        schema = schema, id = box.info.id, uuid = box.info.uuid,
        version = box.info.version, replicas = replicas,
    }
end

-- How often a row that came from a replica lost against a later one that was here, and the last of
-- them: {space, key, writer of what stayed, writer of what lost, what lost}.
local function conflictList()
    local last = {}
    for number = math.max(1, conflicts - CONFLICTS_KEPT + 1), conflicts do
        table.insert(last, lastConflicts[number % CONFLICTS_KEPT])
    end
    return conflicts, last
end

-- Work at the console -----------------------------------------------------------------------------

-- Tombstones go when no replica can have an older write to send any more.
local function expire(now)
    now = now or microseconds()
    fiber.self().storage.expiring = true
    local count = 0
    local fine, reason = pcall(function()
        for name, space in pairs(spaces) do
            local old = {}
            if space.stamped and box.space[name] ~= nil then
                for _, row in box.space[name].index.live:pairs({true}) do
                    if hasExpired(space, row, now) then
                        table.insert(old, keyOf(name, row))
                    end
                end
            end
            for place, key in ipairs(old) do
                -- It may have been written to since: others wrote while this one waited.
                local row = box.space[name]:get(key)
                if row ~= nil and hasExpired(space, row, now) then
                    box.space[name]:delete(key)
                    count = count + 1
                end
                if place % EXPIRY_BATCH == 0 then
                    fiber.sleep(0.01)
                end
            end
        end
    end)
    fiber.self().storage.expiring = nil
    if not fine then
        error(reason)
    end
    return count
end

local passwords = {}
local calls = {
    wait_changes = waitChanges,
    read_rows = readRows,
    registry_status = status,
    registry_conflicts = conflictList,
}

local function grantAll(user, rights, names)
    for _, name in ipairs(names) do
        box.schema.user.grant(user, rights, 'space', name, {if_not_exists = true})
    end
end

local function setUsers()
    local all = {}
    for name in pairs(spaces) do
        table.insert(all, name)
    end
    for name in pairs(calls) do
        box.schema.func.create(name, {if_not_exists = true})
    end
    for user, password in pairs(passwords) do
        box.schema.user.create(user, {if_not_exists = true})
        -- Each change goes to all replicas, so none is made where there is nothing to change.
        local known = box.space._user.index.name:get(user)[5]
        if known['chap-sha1'] ~= box.schema.user.password(password) then
            box.schema.user.passwd(user, password)
        end
    end
    for _, user in ipairs({'bmnode', 'bmadmin'}) do
        grantAll(user, 'read', all)
        grantAll(user, 'write', {'Nodes', 'Subscriptions', 'Locations'})
        for name in pairs(calls) do
            box.schema.user.grant(user, 'execute', 'function', name, {if_not_exists = true})
        end
    end
    grantAll('bmadmin', 'write', {'OverriddenNodes', 'Peers'})
    if passwords.bmreplica ~= nil then
        box.schema.user.grant('bmreplica', 'replication', nil, nil, {if_not_exists = true})
    end
    for _, right in ipairs({'usage', 'session'}) do
        box.schema.user.revoke('guest', right, 'universe', nil, {if_exists = true})
    end
    box.schema.user.revoke('guest', 'public', nil, nil, {if_exists = true})
end

-- Two replicas that did this at once would stop each other's replication, so by itself only the
-- first one does; at the console an operator may where that one is gone for good.
local function migrate()
    for version = schemaVersion() + 1, #steps do
        steps[version]()
        box.space._schema:replace({SCHEMA_KEY, version})
        log.info('registry: the spaces are of version %d now', version)
    end
    schemaVersion()
    setUsers()
end

registry = {
    rows = function(name)
        local _, _, rows = readRows({name})
        return rows[name]
    end,
    status = status,
    conflicts = conflictList,
    expire = expire,
    migrate = migrate,
}

-- Start -------------------------------------------------------------------------------------------

local mistakes = {}

local function mistake(...)
    table.insert(mistakes, string.format(...))
end

local function stop()
    for _, one in ipairs(mistakes) do
        io.stderr:write('registry: ', one, '\n')
    end
    os.exit(1)
end

for name, value in pairs(os.environ()) do
    local setting = name:sub(1, #VARIABLE) == VARIABLE and name:sub(#VARIABLE + 1)
    if setting then
        if settings[setting:lower()] == nil or setting ~= setting:upper() then
            mistake('%s is no setting', name)
        else
            settings[setting:lower()] = value
        end
    end
end

local function split(list)
    local parts = {}
    for part in list:gmatch('[^,%s]+') do
        table.insert(parts, part)
    end
    return parts
end

-- Passwords and rows go over the wire in the clear, and anybody could try passwords.
local function checkAddress(setting, address)
    local parsed = uri.parse(address)
    if parsed == nil or parsed.service == nil then
        mistake('%s: %s is neither "host:port" nor "unix/:/path"', setting, shown(address))
    elseif parsed.login ~= nil then
        mistake('%s: names a user; passwords are in %s', setting, settings.passwords)
    elseif parsed.unix ~= nil then
        if #parsed.unix > LONGEST_SOCKET then
            mistake('%s: %s is too long for a socket', setting, shown(address))
        end
    else
        local host = parsed.host or '' -- all of this host's addresses
        local here = host == 'localhost' or host == '::1' or host:match('^127%.%d+%.%d+%.%d+$')
        if not here and settings.tunnelled ~= 'yes' then
            mistake(
                '%s: %s is not on this host, and Tarantool does not encrypt; lay a tunnel'
                    .. ' (WireGuard, stunnel), then set %sTUNNELLED=yes',
                setting, shown(address), VARIABLE
            )
        end
    end
end

local folder = fio.abspath(settings.folder)
local consoleSocket = fio.pathjoin(folder, 'console.sock')
if settings.passwords == '' then
    settings.passwords = fio.pathjoin(folder, 'passwords')
end
if settings.tunnelled ~= '' and settings.tunnelled ~= 'yes' and settings.tunnelled ~= 'no' then
    mistake('tunnelled: %s is neither "yes" nor "no"', shown(settings.tunnelled))
end
local memory = tonumber(settings.memory)
if memory == nil or not (memory >= 32 and memory <= 1048576) then
    mistake('memory: %s is not in 32 to 1048576 megabytes', shown(settings.memory))
end
for _, name in ipairs(split(settings.transports)) do
    if #name <= 32 and name:match('^[a-z][a-z0-9-]*$') then
        transports[name] = true
    else
        mistake('transports: %s is no name of a transport', shown(name))
    end
end
checkAddress('listen', settings.listen)
local replicas = split(settings.replicas)
for _, address in ipairs(replicas) do
    checkAddress('replicas', address)
end
if #consoleSocket > LONGEST_SOCKET then
    mistake('folder: %s is too long for a socket', shown(consoleSocket))
end

-- Lines of "user = password".
local function readPasswords(path)
    local file = fio.open(path, {'O_RDONLY'})
    if file == nil then
        return mistake('passwords: %s: %s', path, errno.strerror())
    end
    local stat = file:stat()
    local content = file:read()
    file:close()
    if bit.band(stat.mode, 63) ~= 0 then -- 077
        return mistake('passwords: %s can be read by others; chmod 600 it', path)
    end
    for line in content:gmatch('[^\r\n]+') do
        local user, password = line:match('^%s*(%w+)%s*=%s*(%S+)%s*$')
        -- Whatever else would have a meaning in the address of a replica.
        if user ~= nil and #password >= 12 and password:match('^[%w_.~-]+$') then
            passwords[user] = password
        elseif user ~= nil then
            mistake(
                "passwords: that of %s: 12 characters at least, each a letter, a digit or one of"
                    .. " _ . ~ -", user
            )
        elseif not line:match('^%s*#') and line:match('%S') then
            mistake('passwords: a line is not "user = password"')
        end
    end
    for user in pairs(passwords) do
        if user ~= 'bmnode' and user ~= 'bmadmin' and user ~= 'bmreplica' then
            mistake('passwords: %s is no user of the registry', user)
        end
    end
    for _, user in ipairs({'bmnode', 'bmadmin', #replicas > 0 and 'bmreplica' or nil}) do
        if passwords[user] == nil then
            mistake('passwords: %s has none', user)
        end
    end
end

readPasswords(settings.passwords)
if #mistakes > 0 then
    stop()
end

fio.umask(63) -- 077: hashes of passwords are in what it writes, and the console asks for none
local made, reason = fio.mktree(folder, 448) -- 0700
if not made then
    mistake('folder: %s', reason)
    stop()
end

local isFirst = #fio.glob(fio.pathjoin(folder, '*.snap')) == 0
local sources = {}
for _, address in ipairs(replicas) do
    table.insert(sources, ('bmreplica:%s@%s'):format(passwords.bmreplica, address))
end

local configuration = {
    memtx_dir = folder,
    wal_dir = folder,
    vinyl_dir = folder,
    memtx_memory = memory * 1048576,
    feedback_enabled = false, -- by default it calls home
    -- At the first start all have to be there, lest two make a registry each. Afterwards nobody
    -- waits: what a replica has missed comes later, and the stamps decide.
    replication_connect_quorum = isFirst and #sources or 0,
}
local major, minor = _TARANTOOL:match('^(%d+)%.(%d+)')
if tonumber(major) > 2 or tonumber(minor) > 10 then
    configuration.bootstrap_strategy = 'legacy' -- the quorum is heeded only so, from 2.11 on
end

local function configure(options)
    local fine, why = pcall(box.cfg, options)
    if not fine then
        mistake('%s', tostring(why))
        stop()
    end
end

-- Nobody may write, and nothing may come from a replica, before the triggers are set; but what
-- this server reads from its own files is not for them.
if isFirst then
    -- The spaces are made by replica 1, and come here while box.cfg is at work.
    box.ctl.on_schema_init(function()
        box.space._space:on_replace(function(_, new)
            if new ~= nil and spaces[new[3]] ~= nil then
                box.on_commit(install)
            end
        end)
    end)
    configuration.listen, configuration.replication = settings.listen, sources
    configure(configuration)
    configure({replication_connect_quorum = 0})
else
    configure(configuration)
    install()
    configure({listen = settings.listen, replication = sources})
end

fio.unlink(consoleSocket)
console.listen('unix/:' .. consoleSocket)
if uri.parse(settings.listen).unix ~= nil then
    -- As open as a port of this host; whoever speaks has to log in.
    fio.chmod(uri.parse(settings.listen).unix, 438) -- 0666
end

if schemaVersion() > #steps then
    mistake(
        'the spaces were made by a newer version of bmff (%d, %d is known here)',
        schemaVersion(), #steps
    )
    stop()
end
if box.info.id == 1 then
    migrate()
elseif schemaVersion() < #steps then
    log.info('registry: waits for replica 1 to bring the spaces to version %d', #steps)
    while schemaVersion() < #steps do
        fiber.sleep(0.05)
    end
end
install()
for name, call in pairs(calls) do
    rawset(_G, name, call)
end

fiber.create(function()
    fiber.name('expiry')
    while true do
        local fine, why = pcall(expire)
        if not fine then
            log.error('registry: tombstones did not expire: %s', why)
        end
        fiber.sleep(EXPIRY_INTERVAL)
    end
end)

if box.broadcast ~= nil then -- from 2.10 on, for those who watch (IPROTO_WATCH)
    fiber.create(function()
        fiber.name('broadcast')
        local last
        while true do
            if sequence ~= last then
                last = sequence
                box.broadcast(BROADCAST_KEY, {epoch, last})
            else
                changed:wait()
            end
        end
    end)
end

log.info('registry: ready, epoch %s', epoch)
