-- enqueue: stores tasks in one queue, one after another, each unless its lock or its ID is taken
-- or, for the tick of a scheduler's entry, unless the ledger of ticks has it already.
--
-- KEYS[1]   pending key  list of task IDs, newest on the left
-- KEYS[2]   ledger key   hash: field of an entry -> "tick runs task-ID"
-- KEYS[3]   terms key    hash: group -> the highest term seen
-- KEYS[4+]  for each task: task key, hash asynq:{queue}:t:<id>; then, if it has a lock, the
--           lock's key, string; then, unless it is pending, where it waits: the scheduled key
--           or its group's key, sorted set; then, if it is aggregating, the groups key, set.
--           A task with state "skip" has none. Built here from the ledger's key, and only read:
--           the key of an entry's last task.
-- ARGV[1]   now          unix time, nanoseconds
-- ARGV[2]   term         of the leader whose ticks these are; "0" without leader election; ""
--           for tasks that are no ticks
-- ARGV[3]   group        of the leader
-- ARGV[4+]  for each task: if there is a term, its entry's field in the ledger, its tick (a
--           number that grows), "1" to leave it out while the entry's last task is not done,
--           the most runs ("0": no limit); then state ("pending", "scheduled", "aggregating",
--           or "skip" to note the tick and store nothing, which ends the task); lock TTL
--           (seconds, 0 for no lock); task ID; message (bytes, protobuf TaskMessage); then,
--           unless it is pending, its score (unix seconds); then, if it is aggregating, its
--           group's name
--
-- Returns   a list, for each task: 1 stored (or noted) | 0 the ID is taken | -1 the lock is held
--           | -2 the ledger has this tick or a later one | 2 it has this tick with this task ID:
--           an earlier attempt, or another scheduler's | -3 the last task is not done | -4 the
--           most runs are reached | text of the error Redis gave. What is not stored left
--           nothing behind, no lock either; the ledger notes the tick if the result is from 1
--           to -1, or -3.
--           An error before anything was stored is the reply of the script itself: "FENCED"
--           where a higher term was seen.
-- Source    asynq v0.26.0, rdb: Enqueue, EnqueueUnique, Schedule, ScheduleUnique, AddToGroup,
--           AddToGroupUnique (which leave the lock behind when the ID is taken)
local results, stored = {}, 0
-- Once the list is known to be one, the IDs go into it together at the end.
local is_list, ids = false, {}
local k, a = 4, 4
local ledger = ARGV[2] ~= "" and KEYS[2] or nil

if ledger and ARGV[2] ~= "0" then
  local seen = redis.call("HGET", KEYS[3], ARGV[3])
  if seen and tonumber(seen) > tonumber(ARGV[2]) then
    return redis.error_reply("FENCED a leader of term " .. seen .. " has been here")
  end
  if seen ~= ARGV[2] then redis.call("HSET", KEYS[3], ARGV[3], ARGV[2]) end
end

local UNDONE = {pending = true, active = true, scheduled = true, retry = true, aggregating = true}

-- Whether the last task of an entry is not done.
local function is_undone(last_id)
  if last_id == "" then return false end
  local task = string.gsub(ledger, "py:ticks$", "t:") .. last_id
  local state = redis.pcall("HGET", task, "state")
  return type(state) == "string" and UNDONE[state] == true
end

while a <= #ARGV do
  local result, field, tick, undone, most
  local last, runs, last_id = nil, "0", ""
  if ledger then
    field, tick, undone, most = ARGV[a], ARGV[a + 1], ARGV[a + 2] == "1", tonumber(ARGV[a + 3])
    a = a + 4
    local noted = redis.call("HGET", ledger, field)
    if noted then last, runs, last_id = string.match(noted, "^(%S+) (%d+) (.*)$") end
  end
  local task, state, ttl, id, message = KEYS[k], ARGV[a], "0", "", nil
  local lock, place, groups, score, group
  if state == "skip" then
    a = a + 1
  else
    ttl, id, message = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
    k, a = k + 1, a + 4
    if ttl ~= "0" then lock = KEYS[k]; k = k + 1 end
    if state ~= "pending" then
      place, score = KEYS[k], ARGV[a]
      k, a = k + 1, a + 1
      if state == "aggregating" then
        groups, group = KEYS[k], ARGV[a]
        k, a = k + 1, a + 1
      end
    end
  end

  if last and tonumber(last) >= tonumber(tick) then
    result = (last == tick and last_id == id) and 2 or -2
    field = nil
  elseif ledger and most > 0 and tonumber(runs) >= most then
    result = -4
    field = nil
  elseif undone and is_undone(last_id) then
    result = -3
  elseif state == "skip" then
    result = 1
  elseif lock and redis.call("EXISTS", lock) == 1 then
    result = -1
  elseif redis.call("EXISTS", task) == 1 then
    result = 0
  else
    result = 1
    -- First the only step that can fail (a key of a wrong type), then the rest.
    local placed
    if state == "pending" then
      if is_list then
        ids[#ids + 1] = id
      else
        placed = redis.pcall("LPUSH", KEYS[1], id)
        is_list = type(placed) ~= "table"
      end
    else
      placed = redis.pcall("ZADD", place, score, id)
      if group and type(placed) ~= "table" then
        placed = redis.pcall("SADD", groups, group)
        if type(placed) == "table" then redis.call("ZREM", place, id) end
      end
    end
    if type(placed) == "table" then
      if stored == 0 and string.sub(placed.err, 1, 9) ~= "WRONGTYPE" then return placed end
      result = placed.err
      field = nil
    else
      stored = stored + 1
      runs, last_id = tostring(tonumber(runs) + 1), id
      if state == "pending" then
        redis.call("HSET", task, "msg", message, "state", state, "pending_since", ARGV[1])
      else
        redis.call("HSET", task, "msg", message, "state", state)
      end
      if group then redis.call("HSET", task, "group", group) end
      if lock then
        redis.call("SET", lock, id, "EX", ttl)
        if not group then redis.call("HSET", task, "unique_key", lock) end
      end
    end
  end
  if field then redis.call("HSET", ledger, field, tick .. " " .. runs .. " " .. last_id) end
  results[#results + 1] = result
end
if #ids > 0 then redis.call("LPUSH", KEYS[1], unpack(ids)) end
return results
