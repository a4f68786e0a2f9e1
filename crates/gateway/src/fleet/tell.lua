-- Puts tombstones in the set where they are newer. KEYS: tombstones, news.
-- Returns the place among the news, or how many were newer.
-- ARGV: the latest time that can be true, member, whether to tell the others, then fields and values.
local changed = 0
local told = { 'm', ARGV[2] }
for i = 4, #ARGV, 2 do
    local old = redis.call('HGET', KEYS[1], ARGV[i])
    local new = ARGV[i + 1]
    -- What is longer than any is never handed out.
    if not old or #old > 1100 or not string.find(old, '^' .. string.rep('%d', 20) .. '[12]')
        or string.sub(old, 1, 20) > ARGV[1]
        or string.sub(old, 1, 21) < string.sub(new, 1, 21) then
        redis.call('HSET', KEYS[1], ARGV[i], new)
        changed = changed + 1
    end
    told[#told + 1] = ARGV[i]
    told[#told + 1] = new
end
if ARGV[3] == '1' then
    return redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', unpack(told))
end
return tostring(changed)
