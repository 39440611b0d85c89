-- ARGV: id, then the five words of each change
-- Removes what has expired, unless it was written anew.
local now = micros() / 1000
for i = 1, (#ARGV - 1) / 5 do
  local a = 5 * i - 3
  local score = redis.call('ZSCORE', EXPIRY, ARGV[a])
  if score and tonumber(score) <= now then
    remove(i, ARGV[a], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4])
  end
end
return 1
