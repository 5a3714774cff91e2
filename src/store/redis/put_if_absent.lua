-- Sets KEYS[1] to ARGV[1] for ARGV[2] milliseconds, if it has no value. Returns whether it was set, and the problem of
-- the earlier value, if any. Every claim has a TTL.

if redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return { 1, '' } end
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'string' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return { 1, 'wrong type: ' .. kind }
end
if redis.call('PTTL', KEYS[1]) < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return { 0, 'no time to live' }
end
return { 0, '' }
