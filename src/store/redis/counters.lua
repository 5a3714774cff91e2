-- Returns the counters of KEYS[1] within bounds: the problem of the value, if any, and then names and numbers. A value
-- above the bounds is not read. No value is changed. src/store/redis/constants.rs defines the constants.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return { '' } end
if kind ~= 'hash' then return { 'wrong type: ' .. kind } end
if redis.call('HLEN', KEYS[1]) > MAX_NAMES + 1 then return { 'too many names' } end
local response = { '' }
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if #name <= MAX_NAME and redis.call('HSTRLEN', KEYS[1], name) <= MAX_DIGITS then
    response[#response + 1] = name
    response[#response + 1] = redis.call('HGET', KEYS[1], name)
  else
    response[1] = 'not a number'
  end
end
return response
