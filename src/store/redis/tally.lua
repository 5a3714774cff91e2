-- Adds to numbers by name, as src/store/tally.rs does. KEYS[1] is a hash, ARGV[1] its TTL in milliseconds, ARGV[2] the
-- maximum number of names, ARGV[3] the longest name, ARGV[4] the largest number; names and amounts follow. Returns the
-- problem of the earlier value, if any.

local problem, most, longest = '', tonumber(ARGV[2]), tonumber(ARGV[3])
local largest = tonumber(ARGV[4])
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then
  redis.call('DEL', KEYS[1])
  problem = 'wrong type: ' .. kind
elseif redis.call('HLEN', KEYS[1]) > most + 1 then
  redis.call('UNLINK', KEYS[1])
  problem = 'too many names'
end
-- Returns the number of a name, unless it has too many digits.
local function held(name)
  if redis.call('HSTRLEN', KEYS[1], name) > 16 then return 'too long' end
  return redis.call('HGET', KEYS[1], name)
end

for at = 5, #ARGV, 2 do
  local name, amount = ARGV[at], math.min(tonumber(ARGV[at + 1]), largest)
  local text = #name <= longest and held(name)
  if not text and (#name > longest or redis.call('HLEN', KEYS[1]) >= most) then
    name = 'other'
    text = held(name)
  end
  text = text or '0'
  local canonical = text == '0' or #text <= 16 and string.find(text, '^[1-9]%d*$')
  local before = canonical and tonumber(text) or largest + largest
  if before > largest then
    before, problem = 0, 'not a number'
  end
  redis.call('HSET', KEYS[1], name, string.format('%.0f', math.min(before + amount, largest)))
end
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return problem
