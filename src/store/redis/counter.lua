-- A sum to which clients add, as in src/store/counter.rs. KEYS[1] is the sum, ARGV[1] its TTL in milliseconds, ARGV[2]
-- the operation, and the rest its arguments. Returns the sum, whether one was consumed (for a read: whether there is a
-- sum), and the problem of the value, if any, which is left unchanged. src/store/redis/constants.rs defines the
-- constants.

local min, max = math.min, math.max

local kind = redis.call('TYPE', KEYS[1]).ok
local sum, problem = 0, ''
if kind == 'string' then
  -- The digits of the largest sum, and a sign.
  local is_short = redis.call('STRLEN', KEYS[1]) <= MAX_DIGITS + 1
  local text = is_short and redis.call('GET', KEYS[1]) or ''
  local is_canonical = text == '0' or string.find(text, '^%-?[1-9]%d*$')
  sum = is_canonical and tonumber(text) or 2 * MAX_SUM
  -- A number that is not exact is too large.
  local is_exact = string.format('%.0f', sum) == text
  if not is_exact or sum > MAX_SUM or sum < -MAX_SUM then problem = 'not a number' end
elseif kind ~= 'none' then
  problem = 'wrong type: ' .. kind
end

local function add(sum, amount)
  return min(max(sum + amount, -MAX_SUM), MAX_SUM)
end

local operation, is_consumed = ARGV[2], false
if operation == 'read' then
  return { problem == '' and sum or 0, kind == 'none' and 0 or 1, problem }
end
if problem ~= '' and operation ~= 'repair' then return { 0, 0, problem } end
if operation == 'increment' then
  sum = add(sum, tonumber(ARGV[3]))
elseif operation == 'consume' then
  sum = add(max(sum, 0), tonumber(ARGV[3]))
  is_consumed = sum < tonumber(ARGV[4])
  if is_consumed then sum = add(sum, 1) end
else
  local at_least = tonumber(ARGV[3])
  sum = add(problem ~= '' and at_least or max(sum, at_least), 0)
end
local text = string.format('%.0f', sum)
-- The TTL of an unreadable value can be arbitrary.
if problem == '' and redis.call('PTTL', KEYS[1]) >= 0 then
  redis.call('SET', KEYS[1], text, 'KEEPTTL')
else
  redis.call('SET', KEYS[1], text, 'PX', ARGV[1])
end
return { sum, is_consumed and 1 or 0, problem }
