-- KEYS: id, the log's notes, stream, times
-- ARGV: id, the stream's field in the notes, nanoseconds in 19 digits
-- Removes a stream whose last block ends before the time given.
local newest = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '', '^%d+ %d+ %d+ (%d+) %d+$')
if newest and newest < ARGV[3] then
  redis.call('UNLINK', KEYS[3], KEYS[4])
  redis.call('HDEL', KEYS[2], ARGV[2])
end
return 1
