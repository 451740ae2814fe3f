-- Books as book.lua does, from clients that think between their requests: what is offered does not
-- go down where answers come late. Tells latencies of accepted and refused requests apart.
-- Arguments: path, number of the first slot, how many slots, the run's label, seed, mean time from one
-- request of a client to its next in ms, and for how many ms nothing is counted.
--
-- wrk tells response() of no request. The moment of sending goes out as the request's id and comes
-- back with its answer.

local requests = require "requests"
local ffi = require "ffi"

ffi.cdef [[
    typedef struct { long seconds; long nanoseconds; } moment;
    int clock_gettime(int clock, moment *now);
]]

local CLOCK_MONOTONIC = jit.os == "OSX" and 6 or 1
-- Latencies are counted in classes that are so much wider than the one before.
local WIDTH = math.log(1.02)
-- Answers over which their mean is taken.
local RECENT = 1000

local moment = ffi.new("moment")
local path, first, last, label, interval, warm_up
local sent = 0
-- How long an answer takes, in ms, of late.
local waited = 0
local began

accepted, refused, told = {}, {}, { bare = 0, strange = 0 }

local function now()
    ffi.C.clock_gettime(CLOCK_MONOTONIC, moment)
    return tonumber(moment.seconds) * 1e3 + tonumber(moment.nanoseconds) / 1e6
end

function init(arguments)
    path, label = arguments[1], arguments[4]
    first = tonumber(arguments[2])
    last = first + tonumber(arguments[3]) - 1
    math.randomseed(tonumber(arguments[5]))
    interval, warm_up = tonumber(arguments[6]), tonumber(arguments[7])
end

function delay()
    -- Whoever waited for an answer thinks for as much less: a client sends as often all the same.
    return math.floor(-math.max(interval - waited, 0) * math.log(1 - math.random()))
end

function request()
    sent = sent + 1
    began = began or now()
    local text = requests.booking(path, math.random(first, last), label .. "/" .. sent)
    return (text:gsub("\r\n", string.format("\r\nX-Request-ID: %.3f\r\n", now()), 1))
end

function response(status, headers)
    local moment_sent = tonumber(headers["X-Request-ID"])
    local of_status = "status_" .. status
    _G[of_status] = (_G[of_status] or 0) + 1
    if moment_sent == nil then
        told.strange = told.strange + 1
        return
    end
    if status == 503 and headers["Retry-After"] == nil then
        told.bare = told.bare + 1
    end
    local milliseconds = now() - moment_sent
    waited = waited + (milliseconds - waited) / RECENT
    if moment_sent - began < warm_up then
        return
    end
    local counts = status == 201 and accepted or refused
    local class = "c" .. math.floor(math.log(math.max(milliseconds, 0.1)) / WIDTH)
    counts[class] = (counts[class] or 0) + 1
end

local threads = {}

function setup(thread)
    threads[#threads + 1] = thread
end

local function written(counts)
    local parts = {}
    for class, count in pairs(counts) do
        parts[#parts + 1] = string.format('"%s":%d', class:sub(2), count)
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

function done(summary)
    -- Latencies of wrk's own threads are apart; one thread is all that is used here.
    local thread, errors, statuses = threads[1], summary.errors, {}
    for status = 200, 599 do
        local count = thread:get("status_" .. status)
        if count then
            statuses[#statuses + 1] = string.format('"%d":%d', status, count)
        end
    end
    local told_of = thread:get("told")
    io.write(string.format(
        '{"microseconds":%d,"width":%.6f,"statuses":{%s},"accepted":%s,"refused":%s,"bare":%d,'
            .. '"strange":%d,"broken":%d}\n',
        summary.duration, WIDTH, table.concat(statuses, ","), written(thread:get("accepted")),
        written(thread:get("refused")), told_of.bare, told_of.strange,
        errors.connect + errors.read + errors.write + errors.timeout
    ))
end
