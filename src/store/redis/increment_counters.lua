-- Adds to counters by name, as src/store/counter_table.rs does. KEYS[1] is a hash, ARGV[1] its TTL in milliseconds; names and
-- amounts follow. Returns the problem of the earlier value, if any. src/store/redis/constants.rs defines the constants.

local problem = ''
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then
  redis.call('DEL', KEYS[1])
  problem = 'wrong type: ' .. kind
elseif redis.call('HLEN', KEYS[1]) > MAX_NAMES + 1 then
  redis.call('UNLINK', KEYS[1])
  problem = 'too many names'
end
-- Returns the text of a counter, unless it has too many digits.
local function read(name)
  if redis.call('HSTRLEN', KEYS[1], name) > MAX_DIGITS then return 'too long' end
  return redis.call('HGET', KEYS[1], name)
end

for at = 2, #ARGV, 2 do
  local name, amount = ARGV[at], math.min(tonumber(ARGV[at + 1]), MAX_SUM)
  local text = #name <= MAX_NAME and read(name)
  if not text and (#name > MAX_NAME or redis.call('HLEN', KEYS[1]) >= MAX_NAMES) then
    name = OVERFLOW_NAME
    text = read(name)
  end
  text = text or '0'
  local is_canonical = text == '0' or #text <= MAX_DIGITS and string.find(text, '^[1-9]%d*$')
  local before = is_canonical and tonumber(text) or 2 * MAX_SUM
  if before > MAX_SUM then
    before, problem = 0, 'not a number'
  end
  redis.call('HSET', KEYS[1], name, string.format('%.0f', math.min(before + amount, MAX_SUM)))
end
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return problem
