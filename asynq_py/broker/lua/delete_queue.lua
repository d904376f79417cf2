-- delete_queue: deletes the keys of a queue that has no tasks.
--
-- KEYS[1]    pending key           list
-- KEYS[2]    active key            list
-- KEYS[3]    scheduled key         sorted set
-- KEYS[4]    retry key             sorted set
-- KEYS[5]    archived key          sorted set
-- KEYS[6]    completed key         sorted set
-- KEYS[7]    groups key            set
-- KEYS[8]    aggregation sets key  sorted set
-- KEYS[9]    quarantine key        sorted set
-- KEYS[10+]  whatever else belongs to the queue
--
-- Returns  1 deleted | 0 there are tasks, nothing was changed
-- Source   asynq v0.26.0, rdb.RemoveQueue (which looks at KEYS 1 to 5 only, and leaves counters,
--          groups, the completed tasks and the mark of a paused queue behind)
if redis.call("LLEN", KEYS[1]) + redis.call("LLEN", KEYS[2]) > 0 then return 0 end
for _, key in ipairs({KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[8], KEYS[9]}) do
  if redis.call("ZCARD", key) > 0 then return 0 end
end
if redis.call("SCARD", KEYS[7]) > 0 then return 0 end
for i = 1, #KEYS do redis.call("DEL", KEYS[i]) end
return 1
