-- What is new for one gateway. KEYS: members, news, purges, epoch, tombstones.
-- ARGV: member, name, last news, last purge, whether to say that it is there, a name for the set.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = string.format('%.0f', now)

redis.call('SET', KEYS[4], ARGV[6], 'NX')
local epoch = string.sub(redis.call('GET', KEYS[4]), 1, 64)

local news = ARGV[3]
if news == '$' then
    local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
    news = '0-0'
    if last[1] then
        news = last[1][1]
    end
end

if ARGV[5] == '1' then
    redis.call('HSET', KEYS[1], ARGV[1], stamp .. ' ' .. ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. ARGV[2])
    -- Who has been away for a day is not waited for; what is no member goes.
    local all = redis.call('HGETALL', KEYS[1])
    for i = 1, #all, 2 do
        local seen = string.match(all[i + 1], '^(%d+) ')
        if #all[i] > 64 or #all[i + 1] > 256 or #(seen or '') > 15
            or not seen or now - tonumber(seen) > 86400000 or tonumber(seen) > now then
            redis.call('HDEL', KEYS[1], all[i])
        end
    end
end

local members = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, math.min(#all, 128), 2 do
    if #all[i] <= 64 and #all[i + 1] <= 256 then
        members[#members + 1] = all[i]
        members[#members + 1] = all[i + 1]
    end
end

-- Never so long that a gateway could not hold it.
local function after(key, last)
    local told = {}
    for _, entry in ipairs(redis.call('XRANGE', key, '(' .. last, '+', 'COUNT', 50)) do
        local length = 0
        for _, field in ipairs(entry[2]) do
            length = length + #field
        end
        if length > 131072 or #entry[2] > 300 then
            told[#told + 1] = { entry[1] }
        else
            told[#told + 1] = entry
        end
    end
    return told
end

local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
local oldest = '0-0'
if first[1] then
    oldest = first[1][1]
end
local entries = { { news, {} } }
if ARGV[3] ~= '$' then
    entries = after(KEYS[2], news)
end
return { stamp, epoch, tostring(redis.call('HLEN', KEYS[5])), oldest, members, entries, after(KEYS[3], ARGV[4]) }
