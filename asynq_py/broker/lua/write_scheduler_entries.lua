-- write_scheduler_entries: replaces the published entries of one scheduler.
--
-- KEYS[1]   entries key  list of SchedulerEntries; Go's readers expect them pushed on the left
-- ARGV[1]   TTL          whole seconds
-- ARGV[2+]  entries      bytes, protobuf SchedulerEntry, in the order of their next run
--
-- Returns   how many entries are published; with none the key is gone
-- Source    asynq v0.26.0, rdb.WriteSchedulerEntries
redis.call("DEL", KEYS[1])
for i = 2, #ARGV do
  redis.call("LPUSH", KEYS[1], ARGV[i])
end
redis.call("EXPIRE", KEYS[1], ARGV[1])
return #ARGV - 1
