-- enqueue: stores tasks in one queue, one after another, each unless its lock or its ID is taken.
--
-- KEYS[1]   pending key    list of task IDs, newest on the left
-- KEYS[2]   scheduled key  sorted set of task IDs, score: when to run, unix seconds
-- KEYS[3]   groups key     set of the names of groups with tasks
-- KEYS[4+]  for each task: task key, hash asynq:{queue}:t:<id>; then, if it has a lock,
--           the lock's key, string; then, if it joins a group, the group's key, sorted set
-- ARGV[1]   now            unix time, nanoseconds
-- ARGV[2+]  for each task: task ID; message (bytes, protobuf TaskMessage); state ("pending",
--           "scheduled" or "aggregating"); score (unix seconds, "" if pending);
--           lock TTL (seconds, "" for no lock); group name ("" for none)
--
-- Returns   a list, for each task: 1 stored | 0 the ID is taken | -1 the lock is held | text of
--           the error Redis gave. What is not stored left nothing behind, no lock either.
--           An error before anything was stored is the reply of the script itself.
-- Source    asynq v0.26.0, rdb: Enqueue, EnqueueUnique, Schedule, ScheduleUnique, AddToGroup,
--           AddToGroupUnique (which leave the lock behind when the ID is taken)
local results, stored = {}, 0
local k, a = 4, 2

while a < #ARGV do
  local id, message, state = ARGV[a], ARGV[a + 1], ARGV[a + 2]
  local score, ttl, group = ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]
  a = a + 6
  local task, lock, group_key = KEYS[k], nil, nil
  k = k + 1
  if ttl ~= "" then lock = KEYS[k]; k = k + 1 end
  if group ~= "" then group_key = KEYS[k]; k = k + 1 end

  local result = 1
  if lock and redis.call("EXISTS", lock) == 1 then
    result = -1
  elseif redis.call("EXISTS", task) == 1 then
    result = 0
  else
    -- First the only step that can fail (a key of a wrong type), then the rest.
    local placed
    if state == "pending" then
      placed = redis.pcall("LPUSH", KEYS[1], id)
    elseif state == "scheduled" then
      placed = redis.pcall("ZADD", KEYS[2], score, id)
    else
      placed = redis.pcall("ZADD", group_key, score, id)
      if type(placed) ~= "table" then
        placed = redis.pcall("SADD", KEYS[3], group)
        if type(placed) == "table" then redis.call("ZREM", group_key, id) end
      end
    end
    if type(placed) == "table" then
      if stored == 0 and string.sub(placed.err, 1, 9) ~= "WRONGTYPE" then return placed end
      result = placed.err
    else
      stored = stored + 1
      if state == "pending" then
        redis.call("HSET", task, "msg", message, "state", state, "pending_since", ARGV[1])
      else
        redis.call("HSET", task, "msg", message, "state", state)
      end
      if group_key then redis.call("HSET", task, "group", group) end
      if lock then
        redis.call("SET", lock, id, "EX", ttl)
        if not group_key then redis.call("HSET", task, "unique_key", lock) end
      end
    end
  end
  results[#results + 1] = result
end
return results
