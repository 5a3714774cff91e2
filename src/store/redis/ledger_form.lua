-- The format of a ledger in Redis: a line with its name and version, and then MessagePack. Its bounds are those of
-- src/store/ledger/bounds.rs: for any stored bytes, reading takes a bounded time. src/store/redis/constants.rs defines the
-- constants.

local MAGIC = 'octowire-ledger:'
local min, max, floor, find, byte = math.min, math.max, math.floor, string.find, string.byte

local function integer(least, most)
  return function(value)
    return type(value) == 'number' and value >= least and value <= most and value == floor(value)
  end
end

local function text(max_bytes)
  return function(value) return type(value) == 'string' and #value <= max_bytes end
end

local function boolean(value) return type(value) == 'boolean' end
local function is_true(value) return value == true end

local function epoch(value)
  return text(2 * MAX_TEXT)(value) and not find(value, '[^\32-\126]')
end

local name = text(MAX_TEXT)

local function map(max_entries, is_valid)
  return function(value)
    if type(value) ~= 'table' then return false end
    local size = 0
    for name, entry in pairs(value) do
      size = size + 1
      if size > max_entries or type(name) ~= 'string' or #name > MAX_TEXT or not is_valid(entry) then return false end
    end
    return true
  end
end

-- Amounts by buckets of a window, of which there are many.
local function buckets(least, most)
  return function(value)
    if type(value) ~= 'table' then return false end
    local size = 0
    for bucket, amount in pairs(value) do
      size = size + 1
      local is_valid = size <= MAX_BUCKETS and type(bucket) == 'string' and #bucket <= MAX_DIGITS
        and type(amount) == 'number' and amount >= least and amount <= most and amount % 1 == 0
        and find(bucket, '^%d+$') and (byte(bucket) ~= 48 or bucket == '0') and tonumber(bucket) <= MAX_NUMBER
      if not is_valid then return false end
    end
    return true
  end
end

-- Times by owner, of which there are many as well.
local function owners(value)
  if type(value) ~= 'table' then return false end
  local size = 0
  for name, time in pairs(value) do
    size = size + 1
    local is_valid = size <= MAX_OWNERS and type(name) == 'string' and #name <= MAX_TEXT
      and type(time) == 'number' and time >= 0 and time <= MAX_NUMBER and time % 1 == 0
    if not is_valid then return false end
  end
  return true
end

local function record(fields, optional)
  return function(value)
    if type(value) ~= 'table' then return false end
    for name, is_valid in pairs(fields) do
      if not is_valid(value[name]) then return false end
    end
    for name, entry in pairs(value) do
      local is_valid = fields[name] or optional and optional[name]
      if not is_valid or not is_valid(entry) then return false end
    end
    return true
  end
end

local units, number = integer(0, MAX_UNITS), integer(0, MAX_NUMBER)
local signed = integer(-MAX_NUMBER, MAX_NUMBER)

local window_delta = record({ buckets = buckets(-MAX_NUMBER, MAX_NUMBER), returned_allowance = signed })
local member = record({
  last_seen = number, offline_allowance = map(MAX_NAMES, units), in_flight = units, slots = units,
  is_starved = boolean, unanswered = map(MAX_NAMES, number), first_serial = number, serial = number,
  last_changes = record({ windows = map(MAX_NAMES, window_delta) }, { granted_slots = units }),
})
local is_ledger = record({
  time = number,
  departed = number,
  silent_from = number,
  silent_until = number,
  silence_reported = boolean,
  epoch = epoch,
  recovery = record({
    since = number, outage_ms = number, expected_members = units, new_members = units,
    returned_members = map(MAX_MEMBERS, is_true),
    ledger_lost = boolean, is_of_loss = boolean, lost_at = number, lost_expected = units, lost_returned = units,
    slots = units, unreported = map(MAX_NAMES, number),
  }),
  members = map(MAX_MEMBERS, member),
  windows = map(MAX_NAMES, record({
    buckets = buckets(0, MAX_UNITS), returned_allowance = units, offline_allowance = units, min_free = units,
    previous_min_free = units, min_free_since = number,
  })),
  budgets = map(MAX_NAMES, record({ limit = number, remaining = number, reset = number, next = number })),
  owners = owners,
}, {
  pause = record({
    ['until'] = number, consecutive = integer(0, MAX_CONSECUTIVE_PAUSES), probing_member = name,
    probe_expires_at = number,
  }),
})

local function new_ledger()
  return {
    time = 0, epoch = '', members = {}, windows = {}, budgets = {}, owners = {}, departed = 0,
    silent_from = 0, silent_until = 0, silence_reported = false,
    recovery = {
      since = 0, outage_ms = 0, expected_members = 0, new_members = 0, returned_members = {}, ledger_lost = false,
      is_of_loss = false, lost_at = 0, lost_expected = 0, lost_returned = 0, slots = 0, unreported = {},
    },
  }
end

-- Returns the ledger, if there is a readable one, and the problem of the value, if any.
local function read_ledger(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return nil, '' end
  if kind ~= 'string' then return nil, 'wrong type: ' .. kind end
  if redis.call('STRLEN', key) > MAX_BYTES then return nil, 'not a ledger' end
  local bytes = redis.call('GET', key)
  if string.sub(bytes, 1, #MAGIC) ~= MAGIC then return nil, 'not a ledger' end
  local version, start = string.match(string.sub(bytes, #MAGIC + 1, #MAGIC + 20), '^(%d+)\n()')
  version = tonumber(version) or 0
  if version > LEDGER_VERSION then return nil, 'newer' end
  if version < LEDGER_VERSION then return nil, 'not a ledger' end
  local ok, ledger = pcall(cmsgpack.unpack, string.sub(bytes, #MAGIC + start))
  if ok and is_ledger(ledger) then return ledger, '' end
  return nil, 'not a ledger'
end

-- Writes the ledger after a request of this member, and returns whether it fits, as QuotaLedger::write does.
local function write_ledger(key, ledger, member)
  local function encode()
    local bytes = MAGIC .. LEDGER_VERSION .. '\n' .. cmsgpack.pack(ledger)
    return #bytes <= MAX_BYTES and bytes or nil
  end
  local bytes = encode()
  if not bytes then
    for name, other in pairs(ledger.members) do
      if name ~= member then other.last_changes = { windows = {} } end
    end
    bytes = encode()
  end
  if not bytes then
    ledger.owners = {}
    bytes = encode()
  end
  if bytes then redis.call('SET', key, bytes, 'PX', LEDGER_TTL_MS) end
  return bytes ~= nil
end
