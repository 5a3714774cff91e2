-- A sum to which clients add, as in src/store/counter.rs. KEYS[1] is the sum, ARGV[1] its TTL in milliseconds, ARGV[2]
-- the operation, and the rest its arguments. Returns the sum, whether an amount was spent (for a read: whether there is
-- a sum), and the problem of the value, if any, which is left unchanged.

local MAX_SUM, LONGEST_TEXT = 9007199254740992, 17
local min, max = math.min, math.max

local kind = redis.call('TYPE', KEYS[1]).ok
local sum, problem = 0, ''
if kind == 'string' then
  local length = redis.call('STRLEN', KEYS[1])
  local text = length <= LONGEST_TEXT and redis.call('GET', KEYS[1]) or ''
  local canonical = text == '0' or string.find(text, '^%-?[1-9]%d*$')
  sum = canonical and tonumber(text) or MAX_SUM + MAX_SUM
  -- A number that is not exact is too large.
  local exact = string.format('%.0f', sum) == text
  if not exact or sum > MAX_SUM or sum < -MAX_SUM then problem = 'not a number' end
elseif kind ~= 'none' then
  problem = 'wrong type: ' .. kind
end

local function added(sum, amount)
  return min(max(sum + amount, -MAX_SUM), MAX_SUM)
end

local operation, goes = ARGV[2], false
if operation == 'read' then
  return { problem == '' and sum or 0, kind == 'none' and 0 or 1, problem }
end
if problem ~= '' and operation ~= 'repair' then return { 0, 0, problem } end
if operation == 'add' then
  sum = added(sum, tonumber(ARGV[3]))
elseif operation == 'spend' then
  sum = added(max(sum, 0), tonumber(ARGV[3]))
  goes = sum < tonumber(ARGV[4])
  if goes then sum = added(sum, 1) end
else
  local least = tonumber(ARGV[3])
  sum = added(problem ~= '' and least or max(sum, least), 0)
end
local text = string.format('%.0f', sum)
-- The TTL of an unreadable value can be arbitrary.
if problem == '' and redis.call('PTTL', KEYS[1]) >= 0 then
  redis.call('SET', KEYS[1], text, 'KEEPTTL')
else
  redis.call('SET', KEYS[1], text, 'PX', ARGV[1])
end
return { sum, goes and 1 or 0, problem }
