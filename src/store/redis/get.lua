-- The value of KEYS[1], of ARGV[1] bytes at most: whether there is one, the value, and what is wrong with it.
-- What is larger is not read, since all other clients would wait for it. It is left as it is.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return { 0, '', '' } end
if kind ~= 'string' then return { 0, '', 'a ' .. kind } end
if redis.call('STRLEN', KEYS[1]) > tonumber(ARGV[1]) then return { 0, '', 'too large' } end
return { 1, redis.call('GET', KEYS[1]), '' }
