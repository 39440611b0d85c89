-- KEYS: id, lock
-- ARGV: id, who holds it, time to live in ms
-- Answers 1 when it is still held, and then for so long.
if redis.call('GET', KEYS[2]) == ARGV[2] then
  return redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return 0
