-- A part of the set of tombstones. KEYS: tombstones. ARGV: the cursor.
local part = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 500)
local pairs_, refused = {}, 0
for i = 1, #part[2], 2 do
    if #part[2][i] > 1500 or #part[2][i + 1] > 1100 then
        refused = refused + 1
    else
        pairs_[#pairs_ + 1] = part[2][i]
        pairs_[#pairs_ + 1] = part[2][i + 1]
    end
end
return { part[1], pairs_, tostring(refused) }
