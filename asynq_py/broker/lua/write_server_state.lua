-- write_server_state: shows a worker server and what it is at.
--
-- KEYS[1]   server key   string
-- KEYS[2]   workers key  hash: task ID -> WorkerInfo
-- ARGV[1]   TTL          whole seconds
-- ARGV[2]   server       bytes, protobuf ServerInfo
-- ARGV[3+]  for each task at work: its ID; bytes, protobuf WorkerInfo
--
-- Returns   how many tasks are shown
-- Source    asynq v0.26.0, rdb.WriteServerState
redis.call("SETEX", KEYS[1], ARGV[1], ARGV[2])
redis.call("DEL", KEYS[2])
for a = 3, #ARGV, 2 do
  redis.call("HSET", KEYS[2], ARGV[a], ARGV[a + 1])
end
redis.call("EXPIRE", KEYS[2], ARGV[1])
return (#ARGV - 2) / 2
