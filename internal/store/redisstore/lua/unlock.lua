-- KEYS: id, lock
-- ARGV: id, who holds it
if redis.call('GET', KEYS[2]) == ARGV[2] then
  return redis.call('DEL', KEYS[2])
end
return 0
