-- Prints what wrk measured as one line of JSON, for scripts/benchmark/wrk.py to read.
--
-- A script that looks at answers counts their statuses in globals of its own, "status_201" and so on
-- (wrk hands over no table keys of numbers); wrk itself tells only those above 399 from the others.

local threads = {}

function setup(thread)
    threads[#threads + 1] = thread
end

local function counted()
    local parts = {}
    for status = 200, 599 do
        local total = 0
        for _, thread in ipairs(threads) do
            total = total + (thread:get("status_" .. status) or 0)
        end
        if total > 0 then
            parts[#parts + 1] = string.format('"%d":%d', status, total)
        end
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"microseconds":%d,"requests":%d,"refused":%d,"connect":%d,"read":%d,"write":%d,'
            .. '"timeout":%d,"p50_us":%d,"p99_us":%d,"statuses":%s}\n',
        summary.duration, summary.requests, errors.status, errors.connect, errors.read,
        errors.write, errors.timeout, latency:percentile(50), latency:percentile(99), counted()
    ))
end
