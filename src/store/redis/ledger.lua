-- The limits of an identity that a fleet shares, as QuotaLedger::lease computes them, by the server's clock. KEYS[1] is
-- the ledger, ARGV[1] the request, `now` the time in milliseconds. Returns the lease, and the problem of the earlier
-- value, if any; there is no lease if the ledger has a newer version or is too large. src/store/redis/constants.rs
-- defines the constants.

-- Moves the ledger to this time, as QuotaLedger::rebase_time does.
local function rebase_time()
  local back = max(ledger.time - now, 0)
  ledger.time = now
  local function past(time) return min(max(time - back, 0), now) end
  ledger.recovery.since = past(ledger.recovery.since)
  ledger.recovery.lost_at = past(ledger.recovery.lost_at)
  ledger.recovery.expected_members = min(ledger.recovery.expected_members, MAX_MEMBERS)
  ledger.recovery.new_members = min(ledger.recovery.new_members, MAX_MEMBERS)
  ledger.recovery.lost_expected = min(ledger.recovery.lost_expected, MAX_MEMBERS)
  ledger.departed = past(ledger.departed)
  ledger.silent_from, ledger.silent_until = past(ledger.silent_from), past(ledger.silent_until)
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

-- Records a time in which no member was served.
local function observe_silence()
  local last
  for _, member in pairs(ledger.members) do last = max(last or 0, member.last_seen) end
  if last and now - last >= MIN_OUTAGE then
    -- Until ten seconds after an outage, members can still return from it: another one continues it.
    local continues = ledger.silence_reported and last < ledger.silent_until + MEMBER_TIMEOUT
    ledger.silent_from = continues and ledger.silent_from or last
    ledger.silent_until, ledger.silence_reported = now, false
  end
end

-- Extends the times for which clients of a lost ledger can return by an outage of this length.
local function extend(outage)
  local recovery = ledger.recovery
  recovery.since, recovery.lost_at = min(recovery.since + outage, now), min(recovery.lost_at + outage, now)
  for name, time in pairs(recovery.unreported) do recovery.unreported[name] = min(time + outage, MAX_NUMBER) end
end

-- Returns the length of an outage that this client is the first to report, as QuotaLedger::reported_outage does.
local function reported_outage(known)
  local own = request.join and request.join.offline_ms or 0
  if own == 0 then return nil end
  local start = max(now - own, 0)
  if start < ledger.silent_until and not ledger.silence_reported then
    ledger.silence_reported = true
    local length = max(ledger.silent_until - ledger.silent_from, 0)
    extend(length)
    return length
  end
  for name, member in pairs(ledger.members) do
    if name ~= request.member and member.last_seen > start then return nil end
  end
  return known and start > ledger.recovery.since and own or nil
end

-- Returns until when the member can have been without the store, as QuotaLedger::last_known does.
local function last_known(member)
  local is_recent = member.last_seen + MEMBER_TIMEOUT > ledger.silent_from
  return ledger.silence_reported and is_recent and max(member.last_seen, ledger.silent_until) or member.last_seen
end

-- Removes departed members and expired entries.
local function expire()
  for name, member in pairs(ledger.members) do
    if last_known(member) + MEMBER_TIMEOUT <= now then
      for resource, lost in pairs(member.unanswered) do
        local budget = ledger.budgets[resource]
        if budget then budget.remaining = max(budget.remaining - lost, 0) end
      end
      ledger.departed = max(ledger.departed, last_known(member))
      ledger.members[name] = nil
    end
  end
  for owner, next in pairs(ledger.owners) do
    if next <= now then ledger.owners[owner] = nil end
  end
  if ledger.pause and ledger.pause['until'] + PAUSE_TTL <= now then ledger.pause = nil end
end

-- Undoes the last request of a member that has not received its response: the member repeats the request with all its
-- values.
local function revert_last(member)
  if not member or member.serial == request.last_seen_response then return end
  for name, change in pairs(member.last_changes.windows) do
    local window = ledger.windows[name]
    if window then
      for key, amount in pairs(change.buckets) do change_bucket(window, key, -amount) end
      if ledger.recovery.ledger_lost then
        window.returned_allowance = min(max(window.returned_allowance - change.returned_allowance, 0), MAX_UNITS)
      end
    end
  end
  local slots = member.last_changes.granted_slots
  if slots then
    ledger.recovery.returned_members[request.member] = nil
    if not ledger.recovery.is_of_loss then
      ledger.recovery.expected_members = max(ledger.recovery.expected_members - 1, 0)
      ledger.recovery.lost_returned = max(ledger.recovery.lost_returned - 1, 0)
    end
    ledger.recovery.slots = max(ledger.recovery.slots - slots, 0)
  end
end

local function new_recovery(ledger_lost)
  return {
    since = now, outage_ms = 0, expected_members = 0, new_members = 0, returned_members = {}, ledger_lost = ledger_lost,
    is_of_loss = ledger_lost, lost_at = ledger_lost and now or 0, lost_expected = 0, lost_returned = 0, slots = 0,
    unreported = {},
  }
end

-- Begins the recovery from an outage that left the ledger intact, as OutageRecovery::begin_another does.
local function begin_another(outage_ms, known)
  local before, recovery = ledger.recovery, new_recovery(false)
  recovery.slots, recovery.outage_ms = before.slots, outage_ms
  if missing_members(MEMBER_TIMEOUT) > 0 then
    recovery.outage_ms = min(outage_ms + before.outage_ms, MAX_NUMBER)
  end
  local returns = known and not ledger.members[request.member]
  recovery.expected_members = count(ledger.members) + (returns and 1 or 0)
  if is_partial() then
    recovery.ledger_lost, recovery.lost_at, recovery.unreported = true, before.lost_at, before.unreported
    local is_first = before.is_of_loss
    recovery.lost_expected = is_first and before.expected_members or before.lost_expected
    recovery.lost_returned = is_first and count(before.returned_members) or before.lost_returned
  end
  ledger.recovery = recovery
  for _, window in pairs(ledger.windows) do
    window.offline_allowance = min(window.min_free, window.previous_min_free)
  end
end

-- Begins the ledger, or a recovery from an outage that this client reports.
local function begin_recovery(outage, known)
  if ledger.epoch == '' then
    ledger.epoch = string.format('%.0f:%.0f:', now, request.serial) .. request.member
    ledger.recovery = new_recovery(true)
  elseif outage then
    begin_another(outage, known)
  end
end

-- Counts a client that returns after an outage.
local function count_returning(join, known, outage)
  local start = max(now - join.offline_ms, 0)
  -- Others were served meanwhile.
  if known and not outage and join.offline_ms > 0 and start > ledger.recovery.since then return end
  begin_recovery(outage, known)
  local recovery = ledger.recovery
  if not request.epoch then
    -- A new client was not a member before.
    if recovery.expected_members > 0 and add_returned(request.member) then
      recovery.expected_members = min(recovery.expected_members + 1, MAX_UNITS)
      recovery.new_members = min(recovery.new_members + 1, MAX_UNITS)
    elseif recovery.expected_members == 0 and join.offline_ms > 0 then
      await_unknown_members(join.offline_allowance)
    end
    return
  end
  -- The ledger knows the number of its own members.
  if not known and recovery.is_of_loss then
    local expected = min(join.members, MAX_MEMBERS)
    if recovery.expected_members == 0 then
      -- Clients that joined before the first one returned were not members of the lost ledger.
      for name in pairs(ledger.members) do
        if name ~= request.member and add_returned(name) then
          recovery.new_members = min(recovery.new_members + 1, MAX_UNITS)
        end
      end
    end
    recovery.expected_members = max(recovery.expected_members, min(expected + recovery.new_members, MAX_UNITS))
  end
  if not add_returned(request.member) or known then return end
  if not recovery.is_of_loss then
    -- It was not a member before the last outage.
    recovery.expected_members = min(recovery.expected_members + 1, MAX_UNITS)
    recovery.lost_expected = max(recovery.lost_expected, min(join.members, MAX_MEMBERS))
    recovery.lost_returned = min(recovery.lost_returned + 1, MAX_UNITS)
  end
  recovery.slots = min(recovery.slots + join.offline_slots, MAX_UNITS)
  changes.granted_slots = join.offline_slots
  await_unknown_members(join.offline_allowance)
  for name, time in pairs(join.unreported_ms or {}) do
    observe_unreported(name, now + min(time, MAX_WINDOW_MS))
  end
  for name, amount in pairs(join.offline_allowance) do
    local window = window_of(name)
    if window then add_returned_allowance(name, window, amount) end
  end
end

-- Records the earlier spending of a client that is new to this ledger.
local function join_member(join, known, outage)
  count_returning(join, known, outage)
  for name, spent in pairs(known and join.spent_offline or join.spent) do
    local asked = request.windows[name]
    local window = asked and window_of(name)
    if window then
      for _, pair in ipairs(spent) do
        local age, amount = pair[1], pair[2]
        local index = floor(max(now - age, 0) / bucket_of(asked.length))
        -- Expired spending is not counted.
        if bucket_end(index, asked.length) > now then
          add(name, window, index, amount)
          if known and ledger.recovery.ledger_lost then add_returned_allowance(name, window, -amount) end
        end
      end
    end
  end
end

-- Returns the member of the request, which can be new.
local function update_member()
  if not ledger.members[request.member] and count(ledger.members) >= MAX_MEMBERS then
    local oldest
    for name, other in pairs(ledger.members) do
      if not oldest or other.last_seen < ledger.members[oldest].last_seen then oldest = name end
    end
    ledger.departed = max(ledger.departed, last_known(ledger.members[oldest]))
    ledger.members[oldest] = nil
  end
  local member = ledger.members[request.member] or {
    first_serial = min(request.serial, MAX_NUMBER), slots = 0, is_starved = false, unanswered = {},
    offline_allowance = {},
  }
  member.serial, member.last_changes = min(request.serial, MAX_NUMBER), changes
  ledger.members[request.member] = member
  if ledger.recovery.expected_members > 0 then add_returned(request.member) end
  member.last_seen, member.in_flight = now, request.in_flight
  member.slots = min(member.slots, request.in_flight)
  return member
end

-- Drops the buckets that have expired. Amounts with a time later than now, from before the clock was set back, count
-- from now.
local function expire_buckets(window, length)
  local bucket_length, retention = bucket_of(length), retention_ms(length)
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
  if future_amount > 0 then change_bucket(window, string.format('%.0f', newest), future_amount) end
  return newest
end

-- Takes back the unspent part of the last lease.
local function refund_windows(gives_back)
  for name, asked in pairs(request.windows) do
    local window = window_of(name)
    if window then
      local newest = expire_buckets(window, asked.length)
      if gives_back then
        local index = min(asked.bucket, newest)
        local granted = window.buckets[string.format('%.0f', index)] or 0
        local unspent = min(asked.unspent, granted)
        add(name, window, index, -unspent)
        if ledger.recovery.ledger_lost then add_returned_allowance(name, window, unspent) end
      end
    end
  end
end

-- Records the primary limits that GitHub reported.
local function observe_budgets(member)
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
end

local function observe_pause()
  local pause = ledger.pause
  if request.pause then
    local before = pause or { ['until'] = 0, consecutive = 0 }
    ledger.pause = {
      ['until'] = max(before['until'], now + min(request.pause.ends_in, MAX_PAUSE_MS)),
      consecutive = max(before.consecutive, min(request.pause.consecutive, MAX_CONSECUTIVE_PAUSES)),
      probing_member = '',
      probe_expires_at = 0,
    }
  elseif pause and request.pause_over and pause['until'] <= now then
    ledger.pause = nil
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
  observe_silence()
  local outage = reported_outage(known)
  expire()
  -- A member that was removed can have returned its lease already, and its changes are unknown.
  before = ledger.members[request.member]
  local gives_back = known and before and request.last_seen_response >= before.first_serial
  revert_last(before)
  if request.join then join_member(request.join, known, outage) end
  local member = update_member()
  refund_windows(gives_back)
  observe_budgets(member)
  observe_pause()
  return grant(member), true
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
