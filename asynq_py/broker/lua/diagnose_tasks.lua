-- diagnose_tasks: says what is wrong with tasks, and repairs what is still so.
--
-- KEYS[1]   pending key           list
-- KEYS[2]   active key            list
-- KEYS[3]   lease key             sorted set, score: when the lease ends, unix seconds
-- KEYS[4]   archived key          sorted set, score: when it was archived, unix seconds
-- KEYS[5]   groups key            set
-- KEYS[6]   aggregation sets key  sorted set of keys, score: until when
-- KEYS[7]   quarantine key        sorted set, score: since when, unix seconds
-- ARGV[1]   queue prefix          asynq:{queue}:
-- ARGV[2]   now                   unix seconds
-- ARGV[3]   abandoned             unix seconds: whoever let a lease end by then is gone
-- ARGV[4+]  for each task: its ID; the key of a group or an aggregation set that may hold it, or
--           ""; what is to be repaired: a code as below, or "" to look only; "1" if it may be
--           "repeated", else "": to count is to walk along the whole list
--
-- Returns  a list, for each task: {code, the state in its hash ("" if none), a list of the
--          places that hold it (without the prefix), 1 if it was repaired}. Codes:
--            ""              nothing is wrong
--            phantom-leased  active, has no message, and its lease runs
--            phantom-active  the same, but the lease has ended
--            ghost           held by something else, and has no message
--            stale-lease     leased and not active
--            orphan          held by nothing, and finished or without a message
--            lost-task       held by nothing, and not finished
--            twice           held by several
--            repeated        more than once in the one list that holds it
--            no-lease        active and not leased
--            quarantined     in quarantine, whatever state its hash says
--            wrong-state     its hash names another place, or not the group that holds it
--          Nothing is changed unless the code is the one to repair; of "phantom-leased" never;
--          of "twice" if the hash names one of the places and no worker is at the others. Of
--          "repeated" the ID stays that is the next to be taken, the rightmost. What repairs
--          "quarantined" archives the task: the caller says so once its message is right. All
--          keys but those above are built from the prefix.
-- Source   ours: each step of asynq v0.26.0 is one script, so it leaves no such moment between
local prefix, now, abandoned = ARGV[1], ARGV[2], tonumber(ARGV[3])
local DONE = {archived = true, completed = true}

local function in_sorted_set(key, id)
  return redis.call("ZSCORE", key, id) and true or false
end

-- Each place is {state, key}, of a list also how many times it is there.
local function places_of(id, hint, group, counts)
  local places = {}
  for _, list in ipairs({{"pending", KEYS[1]}, {"active", KEYS[2]}}) do
    list[3] = #redis.call("LPOS", list[2], id, "COUNT", counts and 0 or 1)
    if list[3] > 0 then places[#places + 1] = list end
  end
  for _, word in ipairs({"scheduled", "retry", "archived", "completed"}) do
    if in_sorted_set(prefix .. word, id) then places[#places + 1] = {word, prefix .. word} end
  end
  local sets, seen = {}, {}
  if hint ~= "" then sets[1] = hint end
  if group then
    local own = prefix .. "g:" .. group
    sets[#sets + 1] = own
    for _, key in ipairs(redis.call("ZRANGE", KEYS[6], 0, -1)) do
      if string.sub(key, 1, #own + 1) == own .. ":" then sets[#sets + 1] = key end
    end
  end
  for _, key in ipairs(sets) do
    if not seen[key] and in_sorted_set(key, id) then
      places[#places + 1] = {"aggregating", key}
    end
    seen[key] = true
  end
  if in_sorted_set(KEYS[7], id) then places[#places + 1] = {"quarantine", KEYS[7]} end
  return places
end

-- The group whose name the hash must have: Go's scripts find the group by it.
local function group_of(place, else_group)
  local name = place[1] == "aggregating" and string.sub(place[2], #prefix + 3)
  return name and redis.call("SISMEMBER", KEYS[5], name) == 1 and name or else_group
end

local function code_of(task, places, is_active, lease)
  if not task.msg then
    if #places == 0 then return lease and "stale-lease" or task.exists and "orphan" or "" end
    if not is_active then return "ghost" end
    return lease and lease > abandoned and "phantom-leased" or "phantom-active"
  end
  if #places == 0 then return DONE[task.state] and "orphan" or "lost-task" end
  if #places > 1 then return "twice" end
  if (places[1][3] or 1) > 1 then return "repeated" end
  if is_active and not lease then return "no-lease" end
  if lease and not is_active then return "stale-lease" end
  if places[1][1] == "quarantine" then return "quarantined" end
  if task.state ~= places[1][1] then return "wrong-state" end
  return task.group ~= group_of(places[1], task.group) and "wrong-state" or ""
end

local function take_out(place, id)
  if place[1] == "pending" or place[1] == "active" then
    redis.call("LREM", place[2], 0, id)
    if place[1] == "active" then redis.call("ZREM", KEYS[3], id) end
  else
    redis.call("ZREM", place[2], id)
    local group = place[1] == "aggregating" and string.sub(place[2], #prefix + 3)
    if group and redis.call("EXISTS", place[2]) == 0 then redis.call("SREM", KEYS[5], group) end
  end
end

local function forget(task, id)
  if task.lock and redis.call("GET", task.lock) == id then redis.call("DEL", task.lock) end
  redis.call("DEL", task.key)
end

local function leave_one(task, id, places, lease)
  local kept
  for _, place in ipairs(places) do
    if place[1] == task.state then
      if kept then return 0 end
      kept = place
    elseif place[1] == "active" and lease and lease > abandoned then
      return 0
    end
  end
  if not kept then return 0 end
  for _, place in ipairs(places) do
    if place ~= kept then take_out(place, id) end
  end
  return 1
end

local function repair(code, task, id, places, lease)
  if code == "twice" then return leave_one(task, id, places, lease) end
  if code == "ghost" or code == "phantom-active" then
    for _, place in ipairs(places) do take_out(place, id) end
    redis.call("ZREM", KEYS[3], id)
    forget(task, id)
  elseif code == "stale-lease" then
    redis.call("ZREM", KEYS[3], id)
    if not task.msg then forget(task, id) end
  elseif code == "orphan" then
    redis.call("ZREM", KEYS[3], id)
    forget(task, id)
  elseif code == "repeated" then
    redis.call("LREM", places[1][2], places[1][3] - 1, id)
  elseif code == "lost-task" or code == "quarantined" then
    redis.call("ZREM", KEYS[3], id)
    redis.call("ZREM", KEYS[7], id)
    redis.call("ZADD", KEYS[4], now, id)
    redis.call("HSET", task.key, "state", "archived")
    if task.lock and redis.call("GET", task.lock) == id then redis.call("DEL", task.lock) end
  elseif code == "no-lease" then
    redis.call("ZADD", KEYS[3], "NX", now, id)
  elseif code == "wrong-state" then
    redis.call("HSET", task.key, "state", places[1][1])
    local group = group_of(places[1])
    if group then redis.call("HSET", task.key, "group", group) end
  else
    return 0
  end
  return 1
end

local found = {}
for a = 4, #ARGV, 4 do
  local id = ARGV[a]
  local key = prefix .. "t:" .. id
  local fields = redis.pcall("HMGET", key, "msg", "state", "group", "unique_key")
  if fields.err then
    found[#found + 1] = {"", "", {}, 0}  -- no hash: that is told by its key
  else
    local task = {
      key = key, msg = fields[1], state = fields[2], group = fields[3], lock = fields[4],
      exists = redis.call("EXISTS", key) == 1,
    }
    local places = places_of(id, ARGV[a + 1], fields[3], ARGV[a + 3] == "1")
    local is_active, names = false, {}
    for i, place in ipairs(places) do
      is_active = is_active or place[1] == "active"
      names[i] = string.sub(place[2], #prefix + 1)
    end
    local lease = tonumber(redis.call("ZSCORE", KEYS[3], id) or nil)
    local code = code_of(task, places, is_active, lease)
    local done = 0
    if code ~= "" and code == ARGV[a + 2] then
      done = repair(code, task, id, places, lease)
    end
    found[#found + 1] = {code, fields[2] or "", names, done}
  end
end
return found
