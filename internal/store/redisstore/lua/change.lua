-- Shared by the scripts that change keys.
-- KEYS: id, last version, counter of events, versions, index, expiry, events,
-- then key and listing of each change. A change is five words in ARGV: name,
-- operation, kind of listing ('', 'set', 'zset' or 'hash'), member in it, event.
local LAST, COUNTER, VERSIONS, INDEX, EXPIRY, EVENTS = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local FIXED = 7

local function present(key, name)
  if redis.call('EXISTS', key) == 0 then
    return '0'
  end
  return redis.call('HGET', VERSIONS, name) or '1'
end

local function tell(event, name, op)
  redis.call('XADD', EVENTS, 'MAXLEN', '~', 10000, '*', 'event', event, 'key', name, 'op', op, 'n', redis.call('INCR', COUNTER))
end

local function remove(i, name, kind, member, event)
  redis.call('DEL', KEYS[FIXED + 2 * i - 1])
  redis.call('HDEL', VERSIONS, name)
  redis.call('ZREM', INDEX, name)
  redis.call('ZREM', EXPIRY, name)
  if kind == 'set' then
    redis.call('SREM', KEYS[FIXED + 2 * i], member)
  elseif kind == 'zset' then
    redis.call('ZREM', KEYS[FIXED + 2 * i], member)
  elseif kind == 'hash' then
    redis.call('HDEL', KEYS[FIXED + 2 * i], member)
  end
  if string.sub(event, -1) == '_' then
    event = event .. 'deleted'
  end
  tell(event, name, 'del')
end

local function write(i, name, kind, member, event, value, version, expires, fresh)
  local key = KEYS[FIXED + 2 * i - 1]
  if expires then
    -- Redis keeps a key through the millisecond of its expiry; here it ends with it.
    redis.call('SET', key, value, 'PXAT', string.format('%.0f', expires - 1))
    redis.call('ZADD', EXPIRY, string.format('%.0f', expires), name)
  else
    redis.call('SET', key, value)
    redis.call('ZREM', EXPIRY, name)
  end
  redis.call('HSET', VERSIONS, name, version)
  redis.call('ZADD', INDEX, 0, name)
  if kind == 'set' then
    redis.call('SADD', KEYS[FIXED + 2 * i], member)
  elseif kind == 'zset' then
    redis.call('ZADD', KEYS[FIXED + 2 * i], expires and string.format('%.0f', expires) or '+inf', member)
  elseif kind == 'hash' then
    redis.call('HSET', KEYS[FIXED + 2 * i], member, value)
  end
  if string.sub(event, -1) == '_' then
    event = event .. (fresh and 'created' or 'updated')
  end
  tell(event, name, 'set')
end
