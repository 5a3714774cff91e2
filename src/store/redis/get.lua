-- Returns the values of KEYS, each of at most ARGV bytes: whether there is one, the value, and its problem, if any. A
-- larger value is not read, since all other clients would wait for it. It is left unchanged.

local values = {}
for at, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then
    values[at] = { 0, '', '' }
  elseif kind ~= 'string' then
    values[at] = { 0, '', 'wrong type: ' .. kind }
  elseif redis.call('STRLEN', key) > tonumber(ARGV[at]) then
    values[at] = { 0, '', 'too large' }
  else
    values[at] = { 1, redis.call('GET', key), '' }
  end
end
return values
