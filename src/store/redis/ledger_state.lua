-- The parts of a ledger: windows, as in src/store/ledger/window.rs, and the recovery from an outage, as in
-- src/store/ledger/recovery.rs.

local request = cjson.decode(ARGV[1])
-- The ledger, and the changes by this request, so that they can be undone.
local ledger, changes

local function count(entries)
  local number = 0
  for _ in pairs(entries) do number = number + 1 end
  return number
end

local function entry(entries, name, new)
  local found = entries[name]
  if not found and #name <= MAX_TEXT and count(entries) < MAX_NAMES then
    found = new
    entries[name] = found
  end
  return found
end

local function window_of(name)
  return entry(ledger.windows, name, {
    buckets = {}, returned_allowance = 0, offline_allowance = 0, min_free = 0, previous_min_free = 0, min_free_since = 0,
  })
end

local function budget_of(name)
  return entry(ledger.budgets, name, { limit = 0, remaining = 0, reset = 0, next = 0 })
end

local function bucket_of(length) return max(floor(length / BUCKETS), 1) end

local function retention_ms(length)
  return bucket_of(length) + length + LEASE_TTL_MS + ARRIVAL_TOLERANCE_MS
end

local function bucket_end(index, length) return index * bucket_of(length) + retention_ms(length) end

local function delta_of(name)
  local change = changes.windows[name] or { buckets = {}, returned_allowance = 0 }
  changes.windows[name] = change
  return change
end

local function change_bucket(window, key, amount)
  local left = min(max((window.buckets[key] or 0) + amount, 0), MAX_UNITS)
  window.buckets[key] = left > 0 and left or nil
end

local function clamp_delta(amount) return min(max(amount, -MAX_NUMBER), MAX_NUMBER) end

local function add(name, window, index, amount)
  if amount ~= 0 then
    local key, change = string.format('%.0f', index), delta_of(name)
    change_bucket(window, key, amount)
    change.buckets[key] = clamp_delta((change.buckets[key] or 0) + amount)
  end
end

local function add_returned_allowance(name, window, amount)
  local change, before = delta_of(name), window.returned_allowance
  window.returned_allowance = min(max(before + amount, 0), MAX_UNITS)
  change.returned_allowance = clamp_delta(change.returned_allowance + window.returned_allowance - before)
end

local function sum(window)
  local total = 0
  for _, amount in pairs(window.buckets) do total = total + amount end
  return total
end

-- Returns the amount that was granted in the buckets that begin after this time.
local function granted_since(window, time, length)
  local total, bucket_length = 0, bucket_of(length)
  for index, amount in pairs(window.buckets) do
    if tonumber(index) * bucket_length > time then total = total + amount end
  end
  return total
end

-- Returns the time until this amount is free.
local function wait_for(window, length, limit, amount)
  local excess = max(sum(window) + min(amount, limit) - limit, 0)
  local buckets = {}
  for index, amount in pairs(window.buckets) do
    buckets[#buckets + 1] = { tonumber(index), amount }
  end
  table.sort(buckets, function(a, b) return a[1] < b[1] end)
  for _, bucket in ipairs(buckets) do
    local index, amount = bucket[1], bucket[2]
    if excess == 0 then break end
    if amount >= excess then return max(bucket_end(index, length) - now, 0) end
    excess = excess - amount
  end
  return 0
end

-- Returns the lowest free amount of the recent past, including the current one.
local function min_free(window, length, free)
  if window.min_free_since == 0 or window.min_free_since + length <= now then
    window.previous_min_free = window.min_free_since == 0 and free or window.min_free
    window.min_free, window.min_free_since = free, max(now, 1)
  end
  window.min_free = min(window.min_free, free)
  return min(window.min_free, window.previous_min_free)
end

-- Counts a client as present. Returns false if it is counted already.
local function add_returned(member)
  local returned = ledger.recovery.returned_members
  if returned[member] or count(returned) >= MAX_MEMBERS then return false end
  returned[member] = true
  return true
end

-- Returns the number of clients that can still return and report spending that counts for this time.
local function missing_members(length)
  local recovery = ledger.recovery
  if recovery.since + length <= now then return 0 end
  return max(recovery.expected_members - count(recovery.returned_members), 0)
end

-- Returns whether the ledger lacks spending that no present client reports.
local function has_unreported()
  for _, time in pairs(ledger.recovery.unreported) do
    if time > now then return true end
  end
  return false
end

-- Returns the number of clients of a lost ledger that have not returned, whose spending counts for this time.
local function lost_members(length)
  local recovery = ledger.recovery
  if recovery.is_of_loss then return missing_members(length) end
  if not recovery.ledger_lost or recovery.lost_at + length <= now then return 0 end
  return max(recovery.lost_expected - recovery.lost_returned, 0)
end

-- Returns whether a new ledger lacks the spending of some client.
local function is_partial()
  return lost_members(MAX_WINDOW_MS) > 0 or (ledger.recovery.ledger_lost and has_unreported())
end

-- Returns the time until which the ledger lacks spending of this window that no client reports; zero if it is complete.
local function unreported_until(name, retention)
  if not ledger.recovery.ledger_lost then return 0 end
  local missing_until = lost_members(retention) > 0 and ledger.recovery.lost_at + retention or 0
  local unreported = ledger.recovery.unreported
  -- Spending up to now counts for this time.
  if unreported[name] then unreported[name] = min(unreported[name], now + retention) end
  local time = max(missing_until, unreported[name] or 0)
  return time > now and time or 0
end

-- Records this time from a client that received it from the lost ledger.
local function observe_unreported(name, time)
  local unreported = ledger.recovery.unreported
  local has_space = #name <= MAX_TEXT and count(unreported) < MAX_NAMES
  if ledger.recovery.ledger_lost and (unreported[name] or has_space) then
    unreported[name] = max(unreported[name] or 0, min(time, MAX_NUMBER))
  end
end

-- Records that a ledger was lost, at the report of a client that returns or that has seen an outage. Clients that joined
-- shortly before the loss can be unknown to all that have returned.
local function await_unknown_members(windows)
  for name in pairs(windows) do observe_unreported(name, ledger.recovery.lost_at + MEMBER_TIMEOUT) end
end

-- Returns the part of an amount that `some` of `all` have.
local function fraction_of(amount, some, all)
  return math.ceil(amount * min(some, all) / max(all, 1))
end

-- Returns the part of an amount that so many of the clients have.
local function part_of(amount, missing)
  return fraction_of(amount, missing, ledger.recovery.expected_members)
end
