-- The format of a ledger in Redis: a line with its name and version, and then MessagePack. Its bounds are those of
-- src/store/ledger/bounds.rs: for any stored bytes, reading takes a bounded time.

local MAGIC, VERSION, MAX_BYTES = 'octowire-ledger:', 1, 8388608
local MAX_NUMBER, MAX_UNITS, MAX_TEXT, MAX_PARTS = 9007199254740992, 4294967295, 512, 2000
local MAX_OWNERS, MAX_MEMBERS, MAX_NAMES, MAX_LEVEL = 10000, 1000, 64, 64
local LEDGER_TTL = 7200000
local min, max, floor, find, byte = math.min, math.max, math.floor, string.find, string.byte

local function whole(least, most)
  return function(value)
    return type(value) == 'number' and value >= least and value <= most and value == floor(value)
  end
end

local function text(most)
  return function(value) return type(value) == 'string' and #value <= most end
end

local function flag(value) return type(value) == 'boolean' end
local function is_true(value) return value == true end

local function epoch(value)
  return text(2 * MAX_TEXT)(value) and not find(value, '[^\32-\126]')
end

local name = text(MAX_TEXT)

local function map(most, of)
  return function(value)
    if type(value) ~= 'table' then return false end
    local size = 0
    for name, held in pairs(value) do
      size = size + 1
      if size > most or type(name) ~= 'string' or #name > MAX_TEXT or not of(held) then return false end
    end
    return true
  end
end

-- Amounts by parts of a window, of which there are many.
local function parts(least, most)
  return function(value)
    if type(value) ~= 'table' then return false end
    local size = 0
    for part, amount in pairs(value) do
      size = size + 1
      local well = size <= MAX_PARTS and type(part) == 'string' and #part <= 16
        and type(amount) == 'number' and amount >= least and amount <= most and amount % 1 == 0
        and find(part, '^%d+$') and (byte(part) ~= 48 or part == '0') and tonumber(part) <= MAX_NUMBER
      if not well then return false end
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
    local well = size <= MAX_OWNERS and type(name) == 'string' and #name <= MAX_TEXT
      and type(time) == 'number' and time >= 0 and time <= MAX_NUMBER and time % 1 == 0
    if not well then return false end
  end
  return true
end

local function record(fields, optional)
  return function(value)
    if type(value) ~= 'table' then return false end
    for name, of in pairs(fields) do
      if not of(value[name]) then return false end
    end
    for name, held in pairs(value) do
      local of = fields[name] or optional and optional[name]
      if not of or not of(held) then return false end
    end
    return true
  end
end

local units, number = whole(0, MAX_UNITS), whole(0, MAX_NUMBER)
local signed = whole(-MAX_NUMBER, MAX_NUMBER)

local change = record({ parts = parts(-MAX_NUMBER, MAX_NUMBER), spare = signed })
local member = record({
  seen = number, alone = map(MAX_NAMES, units), running = units, slots = units, starved = flag,
  outstanding = map(MAX_NAMES, number), first = number, serial = number,
  last = record({ windows = map(MAX_NAMES, change) }, { told = units }),
})
local is_ledger = record({
  time = number,
  departed = number,
  epoch = epoch,
  gathering = record({
    since = number, expected = units, returned = map(MAX_MEMBERS, is_true), lost = flag, slots = units,
    unreported = map(MAX_NAMES, number),
  }),
  members = map(MAX_MEMBERS, member),
  windows = map(MAX_NAMES, record({
    parts = parts(0, MAX_UNITS), spare = units, low = units, low_before = units,
    low_since = number,
  })),
  budgets = map(MAX_NAMES, record({ limit = number, remaining = number, reset = number, next = number })),
  owners = owners,
}, {
  pause = record({ ['until'] = number, level = whole(0, MAX_LEVEL), prober = name, prober_until = number }),
})

local function new_ledger()
  return {
    time = 0, epoch = '', members = {}, windows = {}, budgets = {}, owners = {}, departed = 0,
    gathering =
      { since = 0, expected = 0, returned = {}, lost = false, slots = 0, unreported = {} },
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
  local version, begins = string.match(string.sub(bytes, #MAGIC + 1, #MAGIC + 20), '^(%d+)\n()')
  version = tonumber(version) or 0
  if version > VERSION then return nil, 'newer' end
  if version < VERSION then return nil, 'not a ledger' end
  local well, ledger = pcall(cmsgpack.unpack, string.sub(bytes, #MAGIC + begins))
  if well and is_ledger(ledger) then return ledger, '' end
  return nil, 'not a ledger'
end

-- Writes the ledger after a request of this member, and returns whether it fits, as Ledger::write does.
local function write_ledger(key, ledger, member)
  local function written()
    local bytes = MAGIC .. VERSION .. '\n' .. cmsgpack.pack(ledger)
    return #bytes <= MAX_BYTES and bytes or nil
  end
  local bytes = written()
  if not bytes then
    for name, other in pairs(ledger.members) do
      if name ~= member then other.last = { windows = {} } end
    end
    bytes = written()
  end
  if not bytes then
    ledger.owners = {}
    bytes = written()
  end
  if bytes then redis.call('SET', key, bytes, 'PX', LEDGER_TTL) end
  return bytes ~= nil
end
