-- enqueue: stores tasks in one queue, one after another, each unless its lock or its ID is taken.
--
-- KEYS[1]   pending key    list of task IDs, newest on the left
-- KEYS[2+]  for each task: task key, hash asynq:{queue}:t:<id>; then, if it has a lock, the
--           lock's key, string; then, unless it is pending, where it waits: the scheduled key
--           or its group's key, sorted set; then, if it is aggregating, the groups key, set
-- ARGV[1]   now            unix time, nanoseconds
-- ARGV[2+]  for each task: state ("pending", "scheduled" or "aggregating"); lock TTL (seconds,
--           0 for no lock); task ID; message (bytes, protobuf TaskMessage); then, unless it is
--           pending, its score (unix seconds); then, if it is aggregating, its group's name
--
-- Returns   a list, for each task: 1 stored | 0 the ID is taken | -1 the lock is held | text of
--           the error Redis gave. What is not stored left nothing behind, no lock either.
--           An error before anything was stored is the reply of the script itself.
-- Source    asynq v0.26.0, rdb: Enqueue, EnqueueUnique, Schedule, ScheduleUnique, AddToGroup,
--           AddToGroupUnique (which leave the lock behind when the ID is taken)
local results, stored = {}, 0
-- Once the list is known to be one, the IDs go into it together at the end.
local is_list, ids = false, {}
local k, a = 2, 2

while a < #ARGV do
  local task, state, ttl, id, message = KEYS[k], ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
  k, a = k + 1, a + 4
  local lock, place, groups, score, group
  if ttl ~= "0" then lock = KEYS[k]; k = k + 1 end
  if state ~= "pending" then
    place, score = KEYS[k], ARGV[a]
    k, a = k + 1, a + 1
    if state == "aggregating" then
      groups, group = KEYS[k], ARGV[a]
      k, a = k + 1, a + 1
    end
  end

  local result = 1
  if lock and redis.call("EXISTS", lock) == 1 then
    result = -1
  elseif redis.call("EXISTS", task) == 1 then
    result = 0
  else
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
    else
      stored = stored + 1
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
  results[#results + 1] = result
end
if #ids > 0 then redis.call("LPUSH", KEYS[1], unpack(ids)) end
return results
