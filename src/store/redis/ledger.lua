-- The limits of an identity that a fleet shares, as Ledger::lease computes them, by the server's clock. KEYS[1] is the
-- ledger, ARGV[1] the request, `now` the time in milliseconds. Returns the lease, and the problem of the earlier value,
-- if any; there is no lease if the ledger has a newer format or is too large.

local GONE, STARVED, SLOP, PARTS, SCOUTS = 10000, 2000, 1000, 240, 10
local SAME_WINDOW, AFTER_RESET, WORTHWHILE, LONGEST = 10000, 1000, 60, 7200000
local FORGOTTEN, LONGEST_PAUSE, LONGEST_BETWEEN_WRITES = 600000, 86400000, 3600000
local LATER, VALID, NONE = 100, 500, MAX_UNITS

local ask = cjson.decode(ARGV[1])
-- The ledger, and the changes by this request, so that they can be undone.
local book, changes

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
  return entry(book.windows, name, { parts = {}, spare = 0, low = 0, low_before = 0, low_since = 0 })
end

local function budget_of(name)
  return entry(book.budgets, name, { limit = 0, remaining = 0, reset = 0, next = 0 })
end

local function part_of(length) return max(floor(length / PARTS), 1) end
local function kept(length) return part_of(length) + length + VALID + SLOP end
local function ends(index, length) return index * part_of(length) + kept(length) end

local function change_of(name)
  local change = changes.windows[name] or { parts = {}, spare = 0 }
  changes.windows[name] = change
  return change
end

local function put(window, key, amount)
  local left = min(max((window.parts[key] or 0) + amount, 0), NONE)
  window.parts[key] = left > 0 and left or nil
end

local function within(amount) return min(max(amount, -MAX_NUMBER), MAX_NUMBER) end

local function add(name, window, index, amount)
  if amount ~= 0 then
    local key, change = string.format('%.0f', index), change_of(name)
    put(window, key, amount)
    change.parts[key] = within((change.parts[key] or 0) + amount)
  end
end

local function add_spare(name, window, amount)
  local change, before = change_of(name), window.spare
  window.spare = min(max(before + amount, 0), NONE)
  change.spare = within(change.spare + window.spare - before)
end

local function sum(window)
  local total = 0
  for _, amount in pairs(window.parts) do total = total + amount end
  return total
end

-- Returns the amount that was granted in the parts that begin after this time.
local function since(window, time, length)
  local total, part = 0, part_of(length)
  for index, amount in pairs(window.parts) do
    if tonumber(index) * part > time then total = total + amount end
  end
  return total
end

-- Returns the time until this amount is free.
local function wait_for(window, length, limit, amount)
  local excess = max(sum(window) + min(amount, limit) - limit, 0)
  local parts = {}
  for index, amount in pairs(window.parts) do
    parts[#parts + 1] = { tonumber(index), amount }
  end
  table.sort(parts, function(a, b) return a[1] < b[1] end)
  for _, part in ipairs(parts) do
    if excess == 0 then break end
    if part[2] >= excess then return max(ends(part[1], length) - now, 0) end
    excess = excess - part[2]
  end
  return 0
end

local function low(window, length, free)
  if window.low_since == 0 or window.low_since + length <= now then
    window.low_before = window.low_since == 0 and free or window.low
    window.low, window.low_since = free, max(now, 1)
  end
  window.low = min(window.low, free)
  return min(window.low, window.low_before)
end

-- Counts a client as present. Returns false if it is counted already.
local function counted(member)
  local returned = book.gathering.returned
  if returned[member] or count(returned) >= MAX_MEMBERS then return false end
  returned[member] = true
  return true
end

-- Returns the number of clients that can still return and report spending that counts for this time.
local function absent_for(length)
  if book.gathering.since + length <= now then return 0 end
  return max(book.gathering.expected - count(book.gathering.returned), 0)
end

-- Returns whether a new ledger lacks the spending of some client.
local function is_partial()
  if not book.gathering.lost then return false end
  for _, time in pairs(book.gathering.unreported) do
    if time > now then return true end
  end
  return absent_for(LONGEST) > 0
end

-- Returns the time until which the ledger lacks spending of this window that no client reports; zero if it is complete.
local function unreported_until(name, keeps)
  if not book.gathering.lost then return 0 end
  local absent = absent_for(keeps) > 0 and book.gathering.since + keeps or 0
  local unreported = book.gathering.unreported
  -- Spending up to now counts for this time.
  if unreported[name] then unreported[name] = min(unreported[name], now + keeps) end
  local time = max(absent, unreported[name] or 0)
  return time > now and time or 0
end

-- Records this time from a client that received it from the lost ledger.
local function learn_unreported(name, time)
  local unreported = book.gathering.unreported
  local has_room = #name <= MAX_TEXT and count(unreported) < MAX_NAMES
  if book.gathering.lost and (unreported[name] or has_room) then
    unreported[name] = max(unreported[name] or 0, min(time, MAX_NUMBER))
  end
end

-- Returns the part of an amount that `some` of `all` have.
local function portion(amount, some, all)
  return math.ceil(amount * min(some, all) / max(all, 1))
end

-- Moves the ledger to this time, as Ledger::settle does.
local function settle()
  local back = max(book.time - now, 0)
  book.time = now
  local function past(time) return min(max(time - back, 0), now) end
  book.gathering.since = past(book.gathering.since)
  book.gathering.expected = min(book.gathering.expected, MAX_MEMBERS)
  book.departed = past(book.departed)
  for name, time in pairs(book.gathering.unreported) do
    book.gathering.unreported[name] = min(max(time - back, 0), now + LONGEST, MAX_NUMBER)
  end
  for _, member in pairs(book.members) do member.seen = past(member.seen) end
  for _, window in pairs(book.windows) do
    if window.low_since > 0 then window.low_since = max(past(window.low_since), 1) end
  end
  for name, budget in pairs(book.budgets) do
    if budget.reset > 0 then budget.reset = max(budget.reset - back, 1) end
    budget.next = min(max(budget.next - back, 0), budget.reset)
    if budget.reset > now + LONGEST then
      book.budgets[name] = { limit = 0, remaining = 0, reset = 0, next = 0 }
    end
  end
  local farthest = now + max(ask.between_writes, LONGEST_BETWEEN_WRITES)
  for owner, next in pairs(book.owners) do
    if back > 0 or next > farthest then
      next = max(next - back, 0)
      book.owners[owner] = next <= farthest and next or nil
    end
  end
  local pause = book.pause
  if pause then
    pause['until'] = max(pause['until'] - back, 0)
    pause.prober_until = max(pause.prober_until - back, 0)
    if pause.prober_until > now + GONE then pause.prober_until = 0 end
    if pause['until'] > now + LONGEST_PAUSE then book.pause = nil end
  end
end

-- Computes the lease, as Ledger::lease does. Returns the lease, and whether the ledger was changed.
local function answer()
  changes = { windows = {} }
  local known = ask.epoch ~= nil and ask.epoch == book.epoch and book.epoch ~= ''
  local before = book.members[ask.member]
  -- A request that was overtaken has no caller that waits for its response.
  local late = before and ask.serial < before.serial and now < before.seen + GONE
  local is_member = #ask.member <= MAX_TEXT and not find(ask.member, '[^\32-\126]')
  if late or not is_member or (not ask.join and not known) then
    return { unknown = true, epoch = book.epoch, members = 0, slots = 0 }, false
  end
  settle()

  -- Removes departed members and expired entries.
  for name, member in pairs(book.members) do
    if member.seen + GONE <= now then
      for resource, lost in pairs(member.outstanding) do
        local budget = book.budgets[resource]
        if budget then budget.remaining = max(budget.remaining - lost, 0) end
      end
      book.departed = max(book.departed, member.seen)
      book.members[name] = nil
    end
  end
  for owner, next in pairs(book.owners) do
    if next <= now then book.owners[owner] = nil end
  end
  if book.pause and book.pause['until'] + FORGOTTEN <= now then book.pause = nil end

  -- A new member joins, and reports its spending.
  before = book.members[ask.member]
  -- A member that has not received the last response repeats the request with all its values: the last changes are
  -- undone.
  if before and before.serial ~= ask.heard then
    for name, change in pairs(before.last.windows) do
      local window = book.windows[name]
      if window then
        for key, amount in pairs(change.parts) do put(window, key, -amount) end
        if book.gathering.lost then window.spare = min(max(window.spare - change.spare, 0), NONE) end
      end
    end
    if before.last.told then
      book.gathering.returned[ask.member] = nil
      book.gathering.slots = max(book.gathering.slots - before.last.told, 0)
    end
  end
  if ask.join then
    if book.epoch == '' then
      book.epoch = string.format('%.0f', now) .. ':' .. ask.member
      book.gathering =
        { since = now, expected = 0, returned = {}, lost = true, slots = 0, unreported = {} }
    elseif known and ask.join.alone > 0 and max(now - ask.join.alone, 0) > book.gathering.since then
      local lost = is_partial()
      local unreported = lost and book.gathering.unreported or {}
      local slots = book.gathering.slots
      book.gathering = {
        since = now, expected = 0, returned = {}, lost = lost, slots = slots, unreported = unreported,
      }
      if not lost then
        for _, window in pairs(book.windows) do window.spare = min(window.low, window.low_before) end
      end
    end
    if not ask.epoch then
      -- A new client was not a member before.
      if book.gathering.expected > 0 and counted(ask.member) then
        book.gathering.expected = min(book.gathering.expected + 1, NONE)
      end
    else
      -- A client that the ledger knows and that had no outage reports only advance spending.
      if not known or ask.join.alone > 0 then
        book.gathering.expected = max(book.gathering.expected, ask.join.members)
      end
      if counted(ask.member) and not known then
        book.gathering.slots = min(book.gathering.slots + ask.join.slots, NONE)
        changes.told = ask.join.slots
        for name, time in pairs(ask.join.unreported or {}) do
          learn_unreported(name, now + min(time, LONGEST))
        end
        for name, spare in pairs(ask.join.spare) do
          local window = window_of(name)
          if window then add_spare(name, window, spare) end
        end
      end
    end
    for name, spent in pairs(known and ask.join.apart or ask.join.spent) do
      local about = ask.windows[name]
      local window = about and window_of(name)
      if window then
        for _, pair in ipairs(spent) do
          local index = floor(max(now - pair[1], 0) / part_of(about.length))
          -- Expired spending is not counted.
          if ends(index, about.length) > now then add(name, window, index, pair[2]) end
        end
      end
    end
  end

  -- Records the values of the request.
  if not book.members[ask.member] and count(book.members) >= MAX_MEMBERS then
    local oldest
    for name, member in pairs(book.members) do
      if not oldest or member.seen < book.members[oldest].seen then oldest = name end
    end
    book.departed = max(book.departed, book.members[oldest].seen)
    book.members[oldest] = nil
  end
  local me = book.members[ask.member]
    or { first = min(ask.serial, MAX_NUMBER), slots = 0, starved = false, outstanding = {}, alone = {} }
  me.serial, me.last = min(ask.serial, MAX_NUMBER), changes
  book.members[ask.member] = me
  if book.gathering.expected > 0 then counted(ask.member) end
  me.seen, me.running, me.slots = now, ask.running, min(me.slots, ask.running)
  for name, about in pairs(ask.windows) do
    local window = window_of(name)
    if window then
      local part, keeps = part_of(about.length), kept(about.length)
      local newest, late = floor(now / part), 0
      for key, amount in pairs(window.parts) do
        local index = tonumber(key)
        if index * part + keeps <= now then
          window.parts[key] = nil
        elseif index > newest then
          window.parts[key] = nil
          late = late + amount
        end
      end
      -- Amounts with a time later than now, from before the clock was set back, count from now.
      if late > 0 then put(window, string.format('%.0f', newest), late) end
      -- A member that was removed can have returned its lease already, and its changes are unknown.
      if known and before and ask.heard >= before.first then
        local index = min(about.part, newest)
        local granted = window.parts[string.format('%.0f', index)] or 0
        local unspent = min(about.unspent, granted)
        add(name, window, index, -unspent)
        if book.gathering.lost then add_spare(name, window, unspent) end
      end
    end
  end
  for name, about in pairs(ask.budgets) do
    local budget = budget_of(name)
    if budget then
      me.outstanding[name] = min(about.outstanding, MAX_NUMBER)
      if budget.reset > 0 and budget.reset + AFTER_RESET <= now then
        budget.remaining, budget.reset, budget.next = budget.limit, 0, 0
      end
      if about.told then
        local reset = now + min(about.told.ends_in, LONGEST)
        local remaining = min(about.told.remaining, MAX_NUMBER)
        budget.limit = min(about.told.limit, MAX_NUMBER)
        if budget.reset > 0 and reset < budget.reset + SAME_WINDOW then
          budget.remaining = min(budget.remaining, remaining)
        else
          budget.remaining, budget.next = remaining, 0
        end
        budget.reset = max(budget.reset, reset)
      end
    end
  end
  if ask.pause then
    local before = book.pause or { ['until'] = 0, level = 0 }
    book.pause = {
      ['until'] = max(before['until'], now + min(ask.pause.ends_in, LONGEST_PAUSE)),
      level = max(before.level, min(ask.pause.level, MAX_LEVEL)),
      prober = '',
      prober_until = 0,
    }
  elseif book.pause and ask.recovered and book.pause['until'] <= now then
    book.pause = nil
  end

  -- The pause: when it is over, one member probes whether it was long enough.
  local pause
  if book.pause then
    if book.pause['until'] > now then
      pause = { ends_in = book.pause['until'] - now, level = book.pause.level }
    else
      if book.pause.prober_until <= now and ask.waiting > 0 then
        book.pause.prober, book.pause.prober_until = ask.member, now + GONE
      end
      if book.pause.prober ~= ask.member or book.pause.prober_until <= now then
        pause = { ends_in = LATER, level = book.pause.level }
      end
    end
  end
  local open = not pause
  local probe = open and book.pause ~= nil
  local members = count(book.members)

  -- Calls in flight.
  local all = ask.concurrent or NONE
  local missing = absent_for(GONE)
  if missing > 0 and ask.concurrent then
    local kept = portion(all, missing, book.gathering.expected)
    all = max(book.gathering.lost and min(all, book.gathering.slots) or all - kept, 1)
  end
  -- Clients that the ledger does not know yet have one call each in flight before they receive a lease.
  local young = now < book.gathering.since + GONE
  if ask.concurrent then
    local limit = ask.concurrent
    local left = young and floor((max(limit - 1, 0) + 3) / 4) or min(floor((limit + 19) / 20), max(limit - 1, 0))
    all = max(min(all, limit - left), 1)
  end
  local share = max(floor(all / members), 1)
  -- Each member has at least one slot, to continue with if it receives no further lease.
  local least_slots = share > 1 and 1 or 0
  local busy, starved = 0, false
  for name, member in pairs(book.members) do
    if name ~= ask.member then
      busy = busy + max(member.running, member.slots, least_slots)
      starved = starved or (member.starved and member.seen + STARVED > now)
    end
  end
  local wanted = not open and 0 or probe and 1 or max(ask.running + ask.waiting, least_slots)
  local slots = min(wanted, starved and share or all, max(all - busy, 0))
  me.slots = slots
  me.starved = open and not probe and slots < wanted and slots < share

  local lease = { epoch = book.epoch, members = members, slots = slots, pause = pause }
  local enough = open and slots > ask.running

  -- Sliding windows.
  for name, about in pairs(ask.windows) do
    local window = window_of(name)
    lease.windows = lease.windows or {}
    if window then
      local limit, absent = about.limit, absent_for(kept(about.length))
      local free = max(limit - sum(window), 0)
      local unreported = unreported_until(name, kept(about.length))
      local gone = book.departed > 0 and book.departed + kept(about.length) or 0
      if unreported > 0 then
        free = min(free, window.spare)
      elseif absent > 0 then
        free = max(free - portion(window.spare, absent, book.gathering.expected), 0)
      end
      local left_to_others = 0
      for other, member in pairs(book.members) do
        if other ~= ask.member then left_to_others = left_to_others + (member.alone[name] or 0) end
      end
      free = max(free - left_to_others, 0)
      -- While earlier clients have not returned, their own bound applies to the free amount.
      local strangers = young and absent == 0 and unreported == 0 and floor(limit / 20) or 0
      free = max(free - strangers, 0)
      local least = min(about.least, max(limit, 1))
      local worth = max(min(about.want, floor(limit / WORTHWHILE)), least)
      local most = not open and 0 or probe and about.least or NONE
      local granted = min(about.want, max(floor(free / max(members, 1)), worth), free, most)
      if granted < least then granted = 0 end
      local index = floor(now / part_of(about.length))
      local wait = 0
      add(name, window, index, granted)
      if book.gathering.lost then add_spare(name, window, -granted) end
      if granted < about.want then
        wait = max(wait_for(window, about.length, limit, worth), 2 * LATER)
        -- A member can return the latest grants.
        if since(window, max(now - 2 * VALID, 0), about.length) > 0 then wait = min(wait, 4 * VALID) end
        if left_to_others > 0 or (strangers > 0 and granted == 0) then wait = max(wait, VALID) end
        if absent > 0 then
          wait = LATER
        elseif unreported > 0 then
          wait = max(wait, 2 * VALID)
        end
      end
      -- All members together can spend the unused amount alone, and at most a quarter of the window. The part of one
      -- member is unavailable to the others until it sends a request again.
      free = free - granted
      local lowest = low(window, about.length, free)
      local count = max(members, 1)
      local part = min(floor(lowest / count), floor(floor(limit / 4) / count), free)
      if part < floor(limit / WORTHWHILE) then part = 0 end
      me.alone[name] = part
      free = part * members
      lease.windows[name] = {
        granted = granted, part = index, wait = wait, free = free,
        unreported = max(max(unreported, gone) - now, 0),
      }
      enough = enough and (about.want == 0 or granted >= about.least)
    else
      lease.windows[name] = { granted = 0, part = 0, wait = 0, free = 0, unreported = 0 }
      enough = enough and about.want == 0
    end
  end

  -- Primary limits.
  for name, about in pairs(ask.budgets) do
    local budget = budget_of(name)
    lease.budgets = lease.budgets or {}
    local granted, wait = 0, LATER
    if budget then
      local out = 0
      for _, member in pairs(book.members) do out = out + (member.outstanding[name] or 0) end
      -- The limit is unknown, or the only known value is a remaining count of zero without a reset.
      local is_known = budget.limit > 0 and (budget.reset > 0 or budget.remaining > about.keep)
      local left = is_known and budget.remaining or SCOUTS
      local keep = is_known and about.keep or 0
      local free = max(left - keep - out, 0)
      local most = not open and 0 or probe and 1 or NONE
      granted = min(about.want, most, max(floor(free / max(members, 1)), 1), free)
      if left <= keep and budget.reset > now then wait = budget.reset + AFTER_RESET - now end
      if about.spread and budget.reset > now and granted > 0 then
        if budget.next > now then
          granted, wait = 0, budget.next - now
        else
          granted = 1
          budget.next = now + floor((budget.reset - now) / max(free, 1))
          wait = budget.next - now
        end
      end
      if about.spread and budget.limit > 0 and budget.reset <= now and granted > 0 then
        granted, wait = out == 0 and 1 or 0, LATER
      end
      if granted >= about.want then wait = 0 end
      me.outstanding[name] = min(me.outstanding[name] + granted, MAX_NUMBER)
    else
      -- The ledger has no space for this limit: grants the number of calls that probe an unknown limit.
      local most = not open and 0 or probe and 1 or NONE
      granted = min(about.want, most, SCOUTS)
      wait = granted < about.want and LATER or 0
    end
    lease.budgets[name] = { granted = granted, wait = wait }
    enough = enough and (about.want == 0 or granted > 0)
  end

  -- Writes to resources of the same owner.
  local room = MAX_OWNERS - count(book.owners)
  for owner, ago in pairs(ask.written or {}) do
    local next = min(now + ask.between_writes, MAX_NUMBER) - ago
    local known = book.owners[owner]
    if next > (known or now) and (known or (room > 0 and #owner <= MAX_TEXT)) then
      book.owners[owner] = next
      if not known then room = room - 1 end
    end
  end
  for _, owner in ipairs(ask.owners) do
    lease.owners = lease.owners or {}
    local next = book.owners[owner]
    if next and next > now then
      lease.owners[owner] = next - now
    elseif not enough then
      lease.owners[owner] = LATER
    else
      if ask.between_writes > 0 and #owner <= MAX_TEXT and room > 0 then
        -- An expired entry was removed above, so this one is new.
        book.owners[owner] = min(now + ask.between_writes, MAX_NUMBER)
        room = room - 1
      end
      lease.owners[owner] = 0
    end
  end

  return lease, true
end

local held, problem = read_ledger(KEYS[1])
if problem == 'newer' then
  -- Clients of that version can read it. It gets a TTL, as all ledgers have.
  if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], LEDGER_TTL) end
  return { '', problem }
end
book = held or new_ledger()
local well, lease, changed = pcall(answer)
if not well and held then
  -- The checks have not found this problem.
  book, problem = new_ledger(), 'not a ledger'
  well, lease, changed = pcall(answer)
end
if not well then return redis.error_reply('ERR ledger: ' .. tostring(lease)) end
if problem ~= '' then redis.call('DEL', KEYS[1]) end
if changed and not write_ledger(KEYS[1], book, ask.member) then return { '', 'too large' } end
return { cjson.encode(lease), problem }
