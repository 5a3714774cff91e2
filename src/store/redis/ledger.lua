-- The limits of an identity that a fleet shares, as QuotaLedger::lease computes them, by the server's clock. KEYS[1] is
-- the ledger, ARGV[1] the request, `now` the time in milliseconds. Returns the lease, and the problem of the earlier
-- value, if any; there is no lease if the ledger has a newer version or is too large. src/store/redis/constants.rs
-- defines the constants.

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
    buckets = {}, offline_allowance = 0, min_free = 0, previous_min_free = 0, min_free_since = 0,
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
  local change = changes.windows[name] or { buckets = {}, offline_allowance = 0 }
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

local function add_offline_allowance(name, window, amount)
  local change, before = delta_of(name), window.offline_allowance
  window.offline_allowance = min(max(before + amount, 0), MAX_UNITS)
  change.offline_allowance = clamp_delta(change.offline_allowance + window.offline_allowance - before)
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
  if ledger.recovery.since + length <= now then return 0 end
  return max(ledger.recovery.expected_members - count(ledger.recovery.returned_members), 0)
end

-- Returns whether a new ledger lacks the spending of some client.
local function is_partial()
  if not ledger.recovery.ledger_lost then return false end
  for _, time in pairs(ledger.recovery.unreported) do
    if time > now then return true end
  end
  return missing_members(MAX_WINDOW_MS) > 0
end

-- Returns the time until which the ledger lacks spending of this window that no client reports; zero if it is complete.
local function unreported_until(name, retention)
  if not ledger.recovery.ledger_lost then return 0 end
  local missing_until = missing_members(retention) > 0 and ledger.recovery.since + retention or 0
  local unreported = ledger.recovery.unreported
  -- Spending up to now counts for this time.
  if unreported[name] then unreported[name] = min(unreported[name], now + retention) end
  local time = max(missing_until, unreported[name] or 0)
  return time > now and time or 0
end

-- Records this time from a client that received it from the lost ledger.
local function observe_unreported(name, time)
  local unreported = ledger.recovery.unreported
  local has_room = #name <= MAX_TEXT and count(unreported) < MAX_NAMES
  if ledger.recovery.ledger_lost and (unreported[name] or has_room) then
    unreported[name] = max(unreported[name] or 0, min(time, MAX_NUMBER))
  end
end

-- Returns the part of an amount that `some` of `all` have.
local function fraction_of(amount, some, all)
  return math.ceil(amount * min(some, all) / max(all, 1))
end

-- Moves the ledger to this time, as QuotaLedger::rebase_time does.
local function rebase_time()
  local back = max(ledger.time - now, 0)
  ledger.time = now
  local function past(time) return min(max(time - back, 0), now) end
  ledger.recovery.since = past(ledger.recovery.since)
  ledger.recovery.expected_members = min(ledger.recovery.expected_members, MAX_MEMBERS)
  ledger.departed = past(ledger.departed)
  for name, time in pairs(ledger.recovery.unreported) do
    ledger.recovery.unreported[name] = min(max(time - back, 0), now + MAX_WINDOW_MS, MAX_NUMBER)
  end
  for _, member in pairs(ledger.members) do member.last_seen = past(member.last_seen) end
  for _, window in pairs(ledger.windows) do
    if window.min_free_since > 0 then window.min_free_since = max(past(window.min_free_since), 1) end
  end
  for name, budget in pairs(ledger.budgets) do
    if budget.reset > 0 then budget.reset = max(budget.reset - back, 1) end
    budget.next = min(max(budget.next - back, 0), budget.reset)
    if budget.reset > now + MAX_WINDOW_MS then
      ledger.budgets[name] = { limit = 0, remaining = 0, reset = 0, next = 0 }
    end
  end
  local farthest = now + max(request.min_write_interval, MAX_WRITE_INTERVAL_MS)
  for owner, next in pairs(ledger.owners) do
    if back > 0 or next > farthest then
      next = max(next - back, 0)
      ledger.owners[owner] = next <= farthest and next or nil
    end
  end
  local pause = ledger.pause
  if pause then
    pause['until'] = max(pause['until'] - back, 0)
    pause.probe_expires_at = max(pause.probe_expires_at - back, 0)
    if pause.probe_expires_at > now + MEMBER_TIMEOUT then pause.probe_expires_at = 0 end
    if pause['until'] > now + MAX_PAUSE_MS then ledger.pause = nil end
  end
end

-- Computes the lease, as QuotaLedger::lease does. Returns the lease, and whether the ledger was changed.
local function compute_lease()
  changes = { windows = {} }
  local known = request.epoch ~= nil and request.epoch == ledger.epoch and ledger.epoch ~= ''
  local before = ledger.members[request.member]
  -- A request that was overtaken has no caller that waits for its response.
  local is_overtaken = before and request.serial < before.serial and now < before.last_seen + MEMBER_TIMEOUT
  local is_member = #request.member <= MAX_TEXT and not find(request.member, '[^\32-\126]')
  if is_overtaken or not is_member or (not request.join and not known) then
    return { is_unknown_member = true, epoch = ledger.epoch, members = 0, slots = 0 }, false
  end
  rebase_time()

  -- Removes departed members and expired entries.
  for name, member in pairs(ledger.members) do
    if member.last_seen + MEMBER_TIMEOUT <= now then
      for resource, lost in pairs(member.unanswered) do
        local budget = ledger.budgets[resource]
        if budget then budget.remaining = max(budget.remaining - lost, 0) end
      end
      ledger.departed = max(ledger.departed, member.last_seen)
      ledger.members[name] = nil
    end
  end
  for owner, next in pairs(ledger.owners) do
    if next <= now then ledger.owners[owner] = nil end
  end
  if ledger.pause and ledger.pause['until'] + PAUSE_TTL <= now then ledger.pause = nil end

  -- A new member joins, and reports its spending.
  before = ledger.members[request.member]
  -- A member that has not received the last response repeats the request with all its values: the last changes are
  -- undone.
  if before and before.serial ~= request.last_seen_response then
    for name, change in pairs(before.last_changes.windows) do
      local window = ledger.windows[name]
      if window then
        for key, amount in pairs(change.buckets) do change_bucket(window, key, -amount) end
        if ledger.recovery.ledger_lost then
          window.offline_allowance = min(max(window.offline_allowance - change.offline_allowance, 0), MAX_UNITS)
        end
      end
    end
    if before.last_changes.granted_slots then
      ledger.recovery.returned_members[request.member] = nil
      ledger.recovery.slots = max(ledger.recovery.slots - before.last_changes.granted_slots, 0)
    end
  end
  if request.join then
    if ledger.epoch == '' then
      ledger.epoch = string.format('%.0f', now) .. ':' .. request.member
      ledger.recovery = {
        since = now, expected_members = 0, returned_members = {}, ledger_lost = true, slots = 0, unreported = {},
      }
    elseif known and request.join.offline_ms > 0 and max(now - request.join.offline_ms, 0) > ledger.recovery.since then
      local lost = is_partial()
      local unreported = lost and ledger.recovery.unreported or {}
      local slots = ledger.recovery.slots
      ledger.recovery = {
        since = now, expected_members = 0, returned_members = {}, ledger_lost = lost, slots = slots,
        unreported = unreported,
      }
      if not lost then
        for _, window in pairs(ledger.windows) do
          window.offline_allowance = min(window.min_free, window.previous_min_free)
        end
      end
    end
    if not request.epoch then
      -- A new client was not a member before.
      if ledger.recovery.expected_members > 0 and add_returned(request.member) then
        ledger.recovery.expected_members = min(ledger.recovery.expected_members + 1, MAX_UNITS)
      end
    else
      -- A client that the ledger knows and that had no outage reports only advance spending.
      if not known or request.join.offline_ms > 0 then
        ledger.recovery.expected_members = max(ledger.recovery.expected_members, request.join.members)
      end
      if add_returned(request.member) and not known then
        ledger.recovery.slots = min(ledger.recovery.slots + request.join.offline_slots, MAX_UNITS)
        changes.granted_slots = request.join.offline_slots
        for name, time in pairs(request.join.unreported_ms or {}) do
          observe_unreported(name, now + min(time, MAX_WINDOW_MS))
        end
        for name, amount in pairs(request.join.offline_allowance) do
          local window = window_of(name)
          if window then add_offline_allowance(name, window, amount) end
        end
      end
    end
    for name, spent in pairs(known and request.join.spent_offline or request.join.spent) do
      local asked = request.windows[name]
      local window = asked and window_of(name)
      if window then
        for _, pair in ipairs(spent) do
          local index = floor(max(now - pair[1], 0) / bucket_of(asked.length))
          -- Expired spending is not counted.
          if bucket_end(index, asked.length) > now then add(name, window, index, pair[2]) end
        end
      end
    end
  end

  -- Records the values of the request.
  if not ledger.members[request.member] and count(ledger.members) >= MAX_MEMBERS then
    local oldest
    for name, member in pairs(ledger.members) do
      if not oldest or member.last_seen < ledger.members[oldest].last_seen then oldest = name end
    end
    ledger.departed = max(ledger.departed, ledger.members[oldest].last_seen)
    ledger.members[oldest] = nil
  end
  local member = ledger.members[request.member] or {
    first_serial = min(request.serial, MAX_NUMBER), slots = 0, is_starved = false, unanswered = {},
    offline_allowance = {},
  }
  member.serial, member.last_changes = min(request.serial, MAX_NUMBER), changes
  ledger.members[request.member] = member
  if ledger.recovery.expected_members > 0 then add_returned(request.member) end
  member.last_seen, member.in_flight, member.slots = now, request.in_flight, min(member.slots, request.in_flight)
  for name, asked in pairs(request.windows) do
    local window = window_of(name)
    if window then
      local bucket_length, retention = bucket_of(asked.length), retention_ms(asked.length)
      local newest, future_amount = floor(now / bucket_length), 0
      for key, amount in pairs(window.buckets) do
        local index = tonumber(key)
        if index * bucket_length + retention <= now then
          window.buckets[key] = nil
        elseif index > newest then
          window.buckets[key] = nil
          future_amount = future_amount + amount
        end
      end
      -- Amounts with a time later than now, from before the clock was set back, count from now.
      if future_amount > 0 then change_bucket(window, string.format('%.0f', newest), future_amount) end
      -- A member that was removed can have returned its lease already, and its changes are unknown.
      if known and before and request.last_seen_response >= before.first_serial then
        local index = min(asked.bucket, newest)
        local granted = window.buckets[string.format('%.0f', index)] or 0
        local unspent = min(asked.unspent, granted)
        add(name, window, index, -unspent)
        if ledger.recovery.ledger_lost then add_offline_allowance(name, window, unspent) end
      end
    end
  end
  for name, asked in pairs(request.budgets) do
    local budget = budget_of(name)
    if budget then
      member.unanswered[name] = min(asked.in_flight, MAX_NUMBER)
      if budget.reset > 0 and budget.reset + AFTER_RESET <= now then
        budget.remaining, budget.reset, budget.next = budget.limit, 0, 0
      end
      if asked.observed then
        local reset = now + min(asked.observed.ends_in, MAX_WINDOW_MS)
        local remaining = min(asked.observed.remaining, MAX_NUMBER)
        budget.limit = min(asked.observed.limit, MAX_NUMBER)
        if budget.reset > 0 and reset < budget.reset + SAME_WINDOW then
          budget.remaining = min(budget.remaining, remaining)
        else
          budget.remaining, budget.next = remaining, 0
        end
        budget.reset = max(budget.reset, reset)
      end
    end
  end
  if request.pause then
    local before = ledger.pause or { ['until'] = 0, consecutive = 0 }
    ledger.pause = {
      ['until'] = max(before['until'], now + min(request.pause.ends_in, MAX_PAUSE_MS)),
      consecutive = max(before.consecutive, min(request.pause.consecutive, MAX_CONSECUTIVE_PAUSES)),
      probing_member = '',
      probe_expires_at = 0,
    }
  elseif ledger.pause and request.pause_over and ledger.pause['until'] <= now then
    ledger.pause = nil
  end

  -- The pause: when it is over, one member probes whether it was long is_enough.
  local pause
  if ledger.pause then
    if ledger.pause['until'] > now then
      pause = { ends_in = ledger.pause['until'] - now, consecutive = ledger.pause.consecutive }
    else
      if ledger.pause.probe_expires_at <= now and request.queued > 0 then
        ledger.pause.probing_member, ledger.pause.probe_expires_at = request.member, now + MEMBER_TIMEOUT
      end
      if ledger.pause.probing_member ~= request.member or ledger.pause.probe_expires_at <= now then
        pause = { ends_in = RETRY_AFTER_MS, consecutive = ledger.pause.consecutive }
      end
    end
  end
  local is_open = not pause
  local is_probe = is_open and ledger.pause ~= nil
  local members = count(ledger.members)

  -- Calls in flight.
  local all = request.max_concurrent or MAX_UNITS
  local missing = missing_members(MEMBER_TIMEOUT)
  if missing > 0 and request.max_concurrent then
    local missing_slots = fraction_of(all, missing, ledger.recovery.expected_members)
    all = max(ledger.recovery.ledger_lost and min(all, ledger.recovery.slots) or all - missing_slots, 1)
  end
  -- Clients that the ledger does not know yet have one call each in flight before they receive a lease.
  local may_expect_joins = now < ledger.recovery.since + MEMBER_TIMEOUT
  if request.max_concurrent then
    local limit = request.max_concurrent
    local others = max(limit - 1, 0)
    local for_unknown = may_expect_joins and math.ceil(others / JOIN_SLOTS_DIVISOR)
      or min(math.ceil(limit / UNKNOWN_MEMBER_DIVISOR), others)
    all = max(min(all, limit - for_unknown), 1)
  end
  local share = max(floor(all / members), 1)
  -- Each member has at least one slot, to continue with if it receives no further lease.
  local min_slots = share > 1 and 1 or 0
  local taken, is_starved = 0, false
  for name, other in pairs(ledger.members) do
    if name ~= request.member then
      taken = taken + max(other.in_flight, other.slots, min_slots)
      is_starved = is_starved or (other.is_starved and other.last_seen + STARVATION_MEMORY > now)
    end
  end
  local wanted = not is_open and 0 or is_probe and 1 or max(request.in_flight + request.queued, min_slots)
  local slots = min(wanted, is_starved and share or all, max(all - taken, 0))
  member.slots = slots
  member.is_starved = is_open and not is_probe and slots < wanted and slots < share

  local lease = { epoch = ledger.epoch, members = members, slots = slots, pause = pause }
  local is_enough = is_open and slots > request.in_flight

  -- Sliding windows.
  for name, asked in pairs(request.windows) do
    local window = window_of(name)
    lease.windows = lease.windows or {}
    if window then
      local limit, missing = asked.limit, missing_members(retention_ms(asked.length))
      local free = max(limit - sum(window), 0)
      local unreported = unreported_until(name, retention_ms(asked.length))
      local gone = ledger.departed > 0 and ledger.departed + retention_ms(asked.length) or 0
      if unreported > 0 then
        free = min(free, window.offline_allowance)
      elseif missing > 0 then
        free = max(free - fraction_of(window.offline_allowance, missing, ledger.recovery.expected_members), 0)
      end
      local left_to_others = 0
      for other_name, other in pairs(ledger.members) do
        if other_name ~= request.member then
          left_to_others = left_to_others + (other.offline_allowance[name] or 0)
        end
      end
      free = max(free - left_to_others, 0)
      -- While earlier clients have not returned, their own bound applies to the free amount.
      local is_complete = missing == 0 and unreported == 0
      local for_unknown = may_expect_joins and is_complete and floor(limit / UNKNOWN_MEMBER_DIVISOR) or 0
      free = max(free - for_unknown, 0)
      local min_useful = min(asked.min_useful, max(limit, 1))
      local min_grant = max(min(asked.requested, floor(limit / MIN_GRANT_DIVISOR)), min_useful)
      local max_grant = not is_open and 0 or is_probe and asked.min_useful or MAX_UNITS
      local granted = min(asked.requested, max(floor(free / max(members, 1)), min_grant), free, max_grant)
      if granted < min_useful then granted = 0 end
      local index = floor(now / bucket_of(asked.length))
      local wait = 0
      add(name, window, index, granted)
      if ledger.recovery.ledger_lost then add_offline_allowance(name, window, -granted) end
      if granted < asked.requested then
        wait = max(wait_for(window, asked.length, limit, min_grant), 2 * RETRY_AFTER_MS)
        -- A member can return the latest grants.
        if granted_since(window, max(now - 2 * LEASE_TTL_MS, 0), asked.length) > 0 then
          wait = min(wait, 4 * LEASE_TTL_MS)
        end
        if left_to_others > 0 or (for_unknown > 0 and granted == 0) then wait = max(wait, LEASE_TTL_MS) end
        if missing > 0 then
          wait = RETRY_AFTER_MS
        elseif unreported > 0 then
          wait = max(wait, 2 * LEASE_TTL_MS)
        end
      end
      -- All members together can spend the unused amount without leases, and at most a quarter of the window. The
      -- allowance of one member is unavailable to the others until it sends a request again.
      free = free - granted
      local lowest = min_free(window, asked.length, free)
      local divisor = max(members, 1)
      local allowance = min(floor(lowest / divisor), floor(floor(limit / OFFLINE_DIVISOR) / divisor), free)
      if allowance < floor(limit / MIN_GRANT_DIVISOR) then allowance = 0 end
      member.offline_allowance[name] = allowance
      free = allowance * members
      lease.windows[name] = {
        granted = granted, bucket = index, retry_after_ms = wait, min_free = free,
        unreported_ms = max(max(unreported, gone) - now, 0),
      }
      is_enough = is_enough and (asked.requested == 0 or granted >= asked.min_useful)
    else
      lease.windows[name] = { granted = 0, bucket = 0, retry_after_ms = 0, min_free = 0, unreported_ms = 0 }
      is_enough = is_enough and asked.requested == 0
    end
  end

  -- Primary limits.
  for name, asked in pairs(request.budgets) do
    local budget = budget_of(name)
    lease.budgets = lease.budgets or {}
    local granted, wait = 0, RETRY_AFTER_MS
    if budget then
      local unanswered = 0
      for _, other in pairs(ledger.members) do unanswered = unanswered + (other.unanswered[name] or 0) end
      -- The limit is unknown, or the only known value is a remaining count of zero without a reset.
      local is_known = budget.limit > 0 and (budget.reset > 0 or budget.remaining > asked.reserved)
      local left = is_known and budget.remaining or UNKNOWN_LIMIT_PROBES
      local reserved = is_known and asked.reserved or 0
      local free = max(left - reserved - unanswered, 0)
      local max_grant = not is_open and 0 or is_probe and 1 or MAX_UNITS
      granted = min(asked.requested, max_grant, max(floor(free / max(members, 1)), 1), free)
      if left <= reserved and budget.reset > now then wait = budget.reset + AFTER_RESET - now end
      if asked.spread and budget.reset > now and granted > 0 then
        if budget.next > now then
          granted, wait = 0, budget.next - now
        else
          granted = 1
          budget.next = now + floor((budget.reset - now) / max(free, 1))
          wait = budget.next - now
        end
      end
      if asked.spread and budget.limit > 0 and budget.reset <= now and granted > 0 then
        granted, wait = unanswered == 0 and 1 or 0, RETRY_AFTER_MS
      end
      if granted >= asked.requested then wait = 0 end
      member.unanswered[name] = min(member.unanswered[name] + granted, MAX_NUMBER)
    else
      -- The ledger has no space for this limit: grants the number of calls that is_probe an unknown limit.
      local max_grant = not is_open and 0 or is_probe and 1 or MAX_UNITS
      granted = min(asked.requested, max_grant, UNKNOWN_LIMIT_PROBES)
      wait = granted < asked.requested and RETRY_AFTER_MS or 0
    end
    lease.budgets[name] = { granted = granted, retry_after_ms = wait }
    is_enough = is_enough and (asked.requested == 0 or granted > 0)
  end

  -- Writes to resources of the same owner.
  local free_entries = MAX_OWNERS - count(ledger.owners)
  for owner, ago in pairs(request.written or {}) do
    local next = min(now + request.min_write_interval, MAX_NUMBER) - ago
    local known = ledger.owners[owner]
    if next > (known or now) and (known or (free_entries > 0 and #owner <= MAX_TEXT)) then
      ledger.owners[owner] = next
      if not known then free_entries = free_entries - 1 end
    end
  end
  for _, owner in ipairs(request.owners) do
    lease.owners = lease.owners or {}
    local next = ledger.owners[owner]
    if next and next > now then
      lease.owners[owner] = next - now
    elseif not is_enough then
      lease.owners[owner] = RETRY_AFTER_MS
    else
      if request.min_write_interval > 0 and #owner <= MAX_TEXT and free_entries > 0 then
        -- An expired entry was removed above, so this one is new.
        ledger.owners[owner] = min(now + request.min_write_interval, MAX_NUMBER)
        free_entries = free_entries - 1
      end
      lease.owners[owner] = 0
    end
  end

  return lease, true
end

local stored, problem = read_ledger(KEYS[1])
if problem == 'newer' then
  -- Clients of that version can read it. It gets a TTL, as all ledgers have.
  if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], LEDGER_TTL_MS) end
  return { '', problem }
end
ledger = stored or new_ledger()
local ok, lease, changed = pcall(compute_lease)
if not ok and stored then
  -- The checks have not found this problem.
  ledger, problem = new_ledger(), 'not a ledger'
  ok, lease, changed = pcall(compute_lease)
end
if not ok then return redis.error_reply('ERR ledger: ' .. tostring(lease)) end
if problem ~= '' then redis.call('DEL', KEYS[1]) end
if changed and not write_ledger(KEYS[1], ledger, request.member) then return { '', 'too large' } end
return { cjson.encode(lease), problem }
