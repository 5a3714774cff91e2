-- The numbers of KEYS[1], of which there may be ARGV[1]: what is wrong with the value, and then names
-- and numbers. What is no hash, or too large to be one of ours, is removed.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return { '' } end
if kind ~= 'hash' then
  redis.call('DEL', KEYS[1])
  return { 'a ' .. kind }
end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[1]) + 1 then
  redis.call('UNLINK', KEYS[1])
  return { 'too many names' }
end
local all = redis.call('HGETALL', KEYS[1])
table.insert(all, 1, '')
return all
