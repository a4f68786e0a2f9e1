-- Asks for the objects of a list in turn, and says in the end what it measured as JSON.
-- wrk -s wrk.lua URL -- PATTERN COUNT: {n} in the pattern is a number of eight digits.

local requests, at = {}, 0

function init(args)
    for n = 0, tonumber(args[2]) - 1 do
        local path = args[1]:gsub("{n}", string.format("%08d", n))
        requests[n + 1] = wrk.format("GET", path)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    local errors = summary.errors
    local said = '{"requests": %d, "bytes": %d, "seconds": %.6f, "errors": %d, '
        .. '"latency": {"p50": %.6f, "p99": %.6f, "max": %.6f}}\n'
    io.write(string.format(said, summary.requests, summary.bytes, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, latency.max / 1e6))
end
