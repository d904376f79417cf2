-- sweep_list: says which IDs of a part of a list have no message, and takes them out.
--
-- KEYS[1]  pending key  list of task IDs
-- ARGV[1]  start        index of the first ID, from the left, 0 or more
-- ARGV[2]  most         how many IDs
-- ARGV[3]  task prefix  asynq:{queue}:t:
-- ARGV[4]  repair       "1" to take them out and delete their hashes and locks, "" to look only
--
-- Returns  a list, for each ID: {ID, bytes of its message (0 if it has none, or no hash: 1),
--          state in its hash ("" if none)}. The others keep their order. The keys of tasks are
--          built from the prefix.
-- Source   ours: to look for each ID by itself takes hours in a list of a million
local start, prefix = tonumber(ARGV[1]), ARGV[3]
-- No task has this ID, and it is gone before anybody else sees the list.
local GONE = "\0asynq_py:gone\0"
local found, is_swept = {}, false

for i, id in ipairs(redis.call("LRANGE", KEYS[1], start, start + ARGV[2] - 1)) do
  local key = prefix .. id
  local fields = redis.pcall("HMGET", key, "state", "unique_key")
  if fields.err then
    found[i] = {id, 1, ""}
  else
    local size = redis.call("HSTRLEN", key, "msg")
    found[i] = {id, size, fields[1] or ""}
    if size == 0 and ARGV[4] == "1" then
      redis.call("LSET", KEYS[1], start + i - 1, GONE)
      if fields[2] and redis.call("GET", fields[2]) == id then redis.call("DEL", fields[2]) end
      redis.call("DEL", key)
      is_swept = true
    end
  end
end
if is_swept then redis.call("LREM", KEYS[1], 0, GONE) end
return found
