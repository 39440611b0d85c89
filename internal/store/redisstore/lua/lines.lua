-- KEYS: id, the set of lines
-- ARGV: id, time to live in ms (0: none), then ms and text of each line; none: forget all
-- Keeps the latest thousand.
if #ARGV == 2 then
  return redis.call('DEL', KEYS[2])
end
for i = 3, #ARGV, 2 do
  redis.call('ZADD', KEYS[2], ARGV[i], ARGV[i + 1])
end
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1001)
if ARGV[2] ~= '0' then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return 1
