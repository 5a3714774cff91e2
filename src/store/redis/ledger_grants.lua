-- The shares of the limits that a member receives, as in src/store/ledger.rs.

-- Returns the pause that this member keeps. After its end, one member probes whether it was long enough.
local function current_pause()
  local pause = ledger.pause
  if not pause then return nil end
  if pause['until'] > now then return { ends_in = pause['until'] - now, consecutive = pause.consecutive } end
  if pause.probe_expires_at <= now and request.queued > 0 then
    pause.probing_member, pause.probe_expires_at = request.member, now + MEMBER_TIMEOUT
  end
  if pause.probing_member == request.member and pause.probe_expires_at > now then return nil end
  return { ends_in = RETRY_AFTER_MS, consecutive = pause.consecutive }
end

-- Returns whether clients can still join that started with the ledger, or return from the outage.
local function may_expect_joins() return now < ledger.recovery.since + MEMBER_TIMEOUT end

-- Returns the maximum number of calls in flight of the members that have returned; the others have `held`.
local function grantable_slots(held)
  local limit = request.max_concurrent
  if not limit then return MAX_UNITS end
  local all, recovery = limit, ledger.recovery
  local missing = missing_members(MEMBER_TIMEOUT)
  local is_awaiting = recovery.ledger_lost and now < recovery.lost_at + MEMBER_TIMEOUT
    and (recovery.expected_members > 0 or has_unreported())
  if is_awaiting and recovery.is_of_loss then
    all = max(min(all, recovery.slots), 1)
  else
    all = max(all - max(part_of(all, missing), held), 0)
    if is_awaiting then all = min(all, max(recovery.slots - held, 0)) end
    all = max(all, 1)
  end
  -- Clients that the ledger does not know yet have one call each in flight before they receive a lease.
  local others = max(limit - 1, 0)
  local for_unknown = may_expect_joins() and math.ceil(others / JOIN_SLOTS_DIVISOR)
    or min(math.ceil(limit / UNKNOWN_MEMBER_DIVISOR), others)
  return max(min(all, limit - for_unknown), 1)
end

-- Returns how many calls the member can have in flight.
local function grant_slots(member, members, is_open, is_probe)
  local is_recovering, held = missing_members(MEMBER_TIMEOUT) > 0, 0
  local function is_absent(name) return is_recovering and not ledger.recovery.returned_members[name] end
  for name, other in pairs(ledger.members) do
    if name ~= request.member and is_absent(name) then held = held + max(other.in_flight, other.slots) end
  end
  local all = grantable_slots(held)
  local share = max(floor(all / members), 1)
  -- Each member has at least one slot, to continue with if it receives no further lease.
  local min_slots = share > 1 and 1 or 0
  local taken, is_starved = 0, false
  for name, other in pairs(ledger.members) do
    if name ~= request.member then
      if not is_absent(name) then taken = taken + max(other.in_flight, other.slots, min_slots) end
      is_starved = is_starved or (other.is_starved and other.last_seen + STARVATION_MEMORY > now)
    end
  end
  local wanted = not is_open and 0 or is_probe and 1 or max(request.in_flight + request.queued, min_slots)
  local slots = min(wanted, is_starved and share or all, max(all - taken, 0))
  member.slots = slots
  member.is_starved = is_open and not is_probe and slots < wanted and slots < share
  return slots
end

-- Returns the amount of a window that other members can spend without leases.
local function left_to_others(name)
  local total = 0
  for other_name, other in pairs(ledger.members) do
    if other_name ~= request.member then total = total + (other.offline_allowance[name] or 0) end
  end
  return total
end

-- Returns the part of the unused amount that this member can spend without a lease. All members together can spend at
-- most a quarter of the window so. The allowance of one member is unavailable to the others until it sends a request
-- again.
local function offline_allowance(window, asked, members, free)
  local divisor = max(members, 1)
  local lowest = min_free(window, asked.length, free)
  local allowance = min(floor(lowest / divisor), floor(floor(asked.limit / OFFLINE_DIVISOR) / divisor), free)
  -- Minimum amount, so that members do not poll for fragments.
  return allowance < floor(asked.limit / MIN_GRANT_DIVISOR) and 0 or allowance
end

-- Grants a part of a sliding window.
local function grant_window(member, present, members, name, asked, max_grant)
  local window = window_of(name)
  if not window then return { granted = 0, bucket = 0, retry_after_ms = 0, min_free = 0, unreported_ms = 0 } end
  local limit, retention = asked.limit, retention_ms(asked.length)
  local missing = missing_members(retention)
  local free = max(limit - sum(window), 0)
  local unreported = unreported_until(name, retention)
  local departed_until = ledger.departed > 0 and ledger.departed + retention or 0
  if unreported > 0 and ledger.recovery.expected_members == 0 then
    -- Only new clients are present: they receive the part that a ledger leaves to unknown clients.
    free = max(free - (limit - floor(limit / UNKNOWN_MEMBER_DIVISOR)), 0)
  elseif unreported > 0 then
    free = min(free, window.returned_allowance)
  elseif missing > 0 then
    -- After the window's length, each client spends its part of the limit without the ledger.
    local is_long = ledger.recovery.outage_ms + MEMBER_TIMEOUT >= asked.length
    local spare = is_long and limit or min(window.offline_allowance, floor(limit / OFFLINE_DIVISOR))
    free = max(free - part_of(spare, missing), 0)
  end
  local for_others = left_to_others(name)
  free = max(free - for_others, 0)
  -- In a new ledger that lacks spending, its own bound applies to the free amount.
  local for_unknown = may_expect_joins() and unreported == 0 and floor(limit / UNKNOWN_MEMBER_DIVISOR) or 0
  free = max(free - for_unknown, 0)
  local min_useful = min(asked.min_useful, max(limit, 1))
  local min_grant = max(min(asked.requested, floor(limit / MIN_GRANT_DIVISOR)), min_useful)
  local granted = min(asked.requested, max(floor(free / max(present, 1)), min_grant), free, max_grant)
  if granted < min_useful then granted = 0 end
  local index = floor(now / bucket_of(asked.length))
  add(name, window, index, granted)
  if ledger.recovery.ledger_lost then add_returned_allowance(name, window, -granted) end
  local wait = 0
  if granted < asked.requested then
    wait = max(wait_for(window, asked.length, limit, min_grant), 2 * RETRY_AFTER_MS)
    -- A member can return the latest grants.
    if granted_since(window, max(now - 2 * LEASE_TTL_MS, 0), asked.length) > 0 then
      wait = min(wait, 4 * LEASE_TTL_MS)
    end
    if for_others > 0 or (for_unknown > 0 and granted == 0) then wait = max(wait, LEASE_TTL_MS) end
    if missing > 0 then
      wait = RETRY_AFTER_MS
    elseif unreported > 0 then
      wait = max(wait, 2 * LEASE_TTL_MS)
    end
  end
  local allowance = offline_allowance(window, asked, members, free - granted)
  member.offline_allowance[name] = allowance
  return {
    granted = granted, bucket = index, retry_after_ms = wait, min_free = allowance * members,
    unreported_ms = max(max(unreported, departed_until) - now, 0),
  }
end

-- Grants a part of a primary limit.
local function grant_budget(member, members, name, asked, max_grant)
  local budget = budget_of(name)
  if not budget then
    -- The ledger has no space for this limit: grants the number of calls that probe an unknown limit.
    local granted = min(asked.requested, max_grant, UNKNOWN_LIMIT_PROBES)
    return { granted = granted, retry_after_ms = granted < asked.requested and RETRY_AFTER_MS or 0 }
  end
  local unanswered = 0
  for _, other in pairs(ledger.members) do unanswered = unanswered + (other.unanswered[name] or 0) end
  -- The limit is unknown, or the only known value is a remaining count of zero without a reset.
  local is_known = budget.limit > 0 and (budget.reset > 0 or budget.remaining > asked.reserved)
  local left = is_known and budget.remaining or UNKNOWN_LIMIT_PROBES
  local reserved = is_known and asked.reserved or 0
  local free = max(left - reserved - unanswered, 0)
  local granted = min(asked.requested, max_grant, max(floor(free / max(members, 1)), 1), free)
  local wait = RETRY_AFTER_MS
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
    -- A new window has begun, and the first response reports its length.
    granted, wait = unanswered == 0 and 1 or 0, RETRY_AFTER_MS
  end
  if granted >= asked.requested then wait = 0 end
  member.unanswered[name] = min(member.unanswered[name] + granted, MAX_NUMBER)
  return { granted = granted, retry_after_ms = wait }
end

-- Records writes without leases, and returns how long a write to each owner has to wait. If the other limits allow the
-- write, it is counted.
local function grant_writes(is_enough)
  local free_entries = MAX_OWNERS - count(ledger.owners)
  for owner, ago in pairs(request.written or {}) do
    local next = min(now + request.min_write_interval, MAX_NUMBER) - ago
    local known = ledger.owners[owner]
    if next > (known or now) and (known or (free_entries > 0 and #owner <= MAX_TEXT)) then
      ledger.owners[owner] = next
      if not known then free_entries = free_entries - 1 end
    end
  end
  local delays
  for _, owner in ipairs(request.owners) do
    delays = delays or {}
    local next = ledger.owners[owner]
    if next and next > now then
      delays[owner] = next - now
    elseif not is_enough then
      delays[owner] = RETRY_AFTER_MS
    else
      if request.min_write_interval > 0 and #owner <= MAX_TEXT and free_entries > 0 then
        -- Expired entries were removed, so this one is new.
        ledger.owners[owner] = min(now + request.min_write_interval, MAX_NUMBER)
        free_entries = free_entries - 1
      end
      delays[owner] = 0
    end
  end
  return delays
end

-- Computes the grants, after the request was recorded.
local function grant(member)
  local pause, present = current_pause(), count(ledger.members)
  -- With those that can still return from an outage.
  local expected = missing_members(MEMBER_TIMEOUT) > 0 and ledger.recovery.expected_members or 0
  local lost = ledger.recovery.is_of_loss and 0 or lost_members(MEMBER_TIMEOUT)
  local members = min(max(present, expected) + lost, MAX_MEMBERS)
  local is_open = not pause
  local is_probe = is_open and ledger.pause ~= nil
  local slots = grant_slots(member, present, is_open, is_probe)
  local lease = { epoch = ledger.epoch, members = members, slots = slots, pause = pause }
  local is_enough = is_open and slots > request.in_flight
  -- An empty table would become a list in JSON.
  for name, asked in pairs(request.windows) do
    local max_grant = not is_open and 0 or is_probe and asked.min_useful or MAX_UNITS
    local granted = grant_window(member, present, members, name, asked, max_grant)
    lease.windows = lease.windows or {}
    lease.windows[name] = granted
    is_enough = is_enough and (asked.requested == 0 or granted.granted >= asked.min_useful)
  end
  for name, asked in pairs(request.budgets) do
    local max_grant = not is_open and 0 or is_probe and 1 or MAX_UNITS
    local granted = grant_budget(member, present, name, asked, max_grant)
    lease.budgets = lease.budgets or {}
    lease.budgets[name] = granted
    is_enough = is_enough and (asked.requested == 0 or granted.granted > 0)
  end
  lease.owners = grant_writes(is_enough)
  return lease
end
