-- Returns the numbers of KEYS[1], at most ARGV[1] of them, with names of ARGV[2] bytes and numbers of ARGV[3] digits:
-- the problem of the value, if any, and then names and numbers. A larger value is not read. No value is changed.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return { '' } end
if kind ~= 'hash' then return { 'wrong type: ' .. kind } end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[1]) + 1 then return { 'too many names' } end
local longest_name, longest_number = tonumber(ARGV[2]), tonumber(ARGV[3])
local answer = { '' }
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if #name <= longest_name and redis.call('HSTRLEN', KEYS[1], name) <= longest_number then
    answer[#answer + 1] = name
    answer[#answer + 1] = redis.call('HGET', KEYS[1], name)
  else
    answer[1] = 'not a number'
  end
end
return answer
