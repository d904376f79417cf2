-- diagnose_group: says what is wrong with a group or with a set that is being aggregated, and
-- repairs it if it is still so.
--
-- KEYS[1]  set key               sorted set of task IDs
-- KEYS[2]  groups key            set
-- KEYS[3]  aggregation sets key  sorted set of keys, score: until when
-- ARGV[1]  name                  what follows "asynq:{queue}:g:" in the set's key
-- ARGV[2]  group                 the name without the ID of an aggregation set; "" if it has none
-- ARGV[3]  queue prefix          asynq:{queue}:
-- ARGV[4]  repair                a code as below, or "" to look only
-- ARGV[5]  most                  how many tasks to move at a time
--
-- Returns  {code, how many tasks were in the set, 1 if there is more to repair}.
--          Codes: "" nothing is wrong | "stranded-group" it has tasks and is not among the groups
--          | "stray-set" an aggregation set that no server knows of | "empty-group" it is among
--          the groups and has no tasks. Nothing is changed unless the code is the one to repair.
--          The keys of tasks, read only, and of the group are built from the prefix.
-- Source   ours: asynq v0.26.0, rdb.ReclaimStaleAggregationSets and forward leave groups stranded
local name, group, prefix = ARGV[1], ARGV[2], ARGV[3]
local is_known = redis.call("SISMEMBER", KEYS[2], name) == 1
local size = redis.call("ZCARD", KEYS[1])
local code = ""

if size == 0 then
  if is_known then code = "empty-group" end
elseif not is_known and not redis.call("ZSCORE", KEYS[3], KEYS[1]) then
  code = "stranded-group"
  if group ~= "" then
    local first = redis.call("ZRANGE", KEYS[1], 0, 0)[1]
    if redis.call("HGET", prefix .. "t:" .. first, "group") ~= name then code = "stray-set" end
  end
end
if code == "" or code ~= ARGV[4] then return {code, size, 0} end

if code == "empty-group" then
  redis.call("SREM", KEYS[2], name)
elseif code == "stranded-group" then
  redis.call("SADD", KEYS[2], name)
else
  local ids = redis.call("ZRANGE", KEYS[1], 0, ARGV[5] - 1, "WITHSCORES")
  redis.call("SADD", KEYS[2], group)
  for i = 1, #ids, 2 do redis.call("ZADD", prefix .. "g:" .. group, ids[i + 1], ids[i]) end
  redis.call("ZREMRANGEBYRANK", KEYS[1], 0, ARGV[5] - 1)
end
return {code, size, redis.call("EXISTS", KEYS[1]) == 1 and code == "stray-set" and 1 or 0}
