-- finish: says what becomes of tasks that were at work, and lets go of their leases.
--
-- KEYS[1]   active key          list
-- KEYS[2]   lease key           sorted set, score: when the lease ends, unix seconds
-- KEYS[3]   pending key         list, newest on the left
-- KEYS[4]   retry key           sorted set, score: when to try again, unix seconds
-- KEYS[5]   archived key        sorted set, score: when it was archived, unix seconds
-- KEYS[6]   completed key       sorted set, score: until when it is kept, unix seconds
-- KEYS[7]   processed key       counter
-- KEYS[8]   failed key          counter
-- KEYS[9]   processed of today  counter
-- KEYS[10]  failed of today     counter
-- ARGV[1]   task prefix         asynq:{queue}:t:
-- ARGV[2]   days' end           unix seconds: until when the counters of today are kept
-- ARGV[3]   limit               of the counters; one that has reached it begins again at 1
-- ARGV[4+]  for each task: its ID; what becomes of it; its message (bytes, protobuf TaskMessage;
--           "" where it is deleted, or keeps its own); its score, unix seconds; its lock's key
--           ("" for none, or to keep the lock); the lease it may have at most, unix seconds
--           ("" for any). What becomes of it:
--             done      it is deleted                        processed
--             complete  it is kept until its score           processed
--             retry     it is tried again at its score       processed, failed
--             postpone  the same                             not counted
--             crash     the same, its crashes are counted    not counted
--             archive   it is archived                       processed, failed
--             requeue   it is the next to run                not counted
--
-- Returns   a list, for each task: 1 it is so | 0 it was not at work (any more), or has a longer
--           lease: nothing was changed, except that a lease without a task at work is deleted.
--           Task keys are built from the prefix.
-- Source    asynq v0.26.0, rdb: Done, MarkAsComplete, Retry, Archive, Requeue; these stop
--           halfway if there is no lease
local results, processed, failed = {}, 0, 0

for a = 4, #ARGV, 6 do
  local id, outcome, message, score = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
  local lock, longest = ARGV[a + 4], tonumber(ARGV[a + 5])
  local lease = longest and tonumber(redis.call("ZSCORE", KEYS[2], id) or nil)
  local result = 0
  if not (lease and lease > longest) then
    -- Tasks at work are few, and those to finish mostly the oldest, on the right.
    result = redis.call("LREM", KEYS[1], -1, id)
    redis.call("ZREM", KEYS[2], id)
  end
  if result == 1 then
    local task = ARGV[1] .. id
    if outcome == "done" then
      redis.call("DEL", task)
    elseif outcome == "requeue" then
      redis.call("RPUSH", KEYS[3], id)
      redis.call("HSET", task, "state", "pending")
    else
      local place, state = KEYS[4], "retry"
      if outcome == "complete" then place, state = KEYS[6], "completed" end
      if outcome == "archive" then place, state = KEYS[5], "archived" end
      redis.call("ZADD", place, score, id)
      redis.call("HSET", task, "msg", message, "state", state)
      if outcome == "crash" then redis.pcall("HINCRBY", task, "py_crashes", 1) end
    end
    if lock ~= "" and redis.call("GET", lock) == id then redis.call("DEL", lock) end
    if outcome == "retry" or outcome == "archive" then failed = failed + 1 end
    if outcome ~= "requeue" and outcome ~= "postpone" and outcome ~= "crash" then
      processed = processed + 1
    end
  end
  results[#results + 1] = result
end

local function count(today, number)
  if number > 0 and redis.call("INCRBY", today, number) == number then
    redis.call("EXPIREAT", today, ARGV[2])
  end
end

count(KEYS[9], processed)
count(KEYS[10], failed)
if processed > 0 and redis.call("GET", KEYS[7]) == ARGV[3] then
  redis.call("SET", KEYS[7], processed)
  if failed > 0 then redis.call("SET", KEYS[8], failed) end
else
  if processed > 0 then redis.call("INCRBY", KEYS[7], processed) end
  if failed > 0 then redis.call("INCRBY", KEYS[8], failed) end
end
return results
