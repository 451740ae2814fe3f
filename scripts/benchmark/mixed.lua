-- A mixed day: of 100 requests 60 read (a page of slots, a slot, a booking), 25 book, 5 hold and 5
-- confirm what was held, 5 cancel what was booked.
-- Arguments: number of the first slot (of a booking, too), how many, the run's label, seed.

require "summary"
local requests = require "requests"

local BOOKINGS = "/api/bookings"
-- Enough to choose from; what a day makes beyond it is forgotten.
local MOST_REMEMBERED = 10000

local first, last, label
local sent = 0
local held, booked = {}, {}

function init(arguments)
    first = tonumber(arguments[1])
    last = first + tonumber(arguments[2]) - 1
    label = arguments[3]
    math.randomseed(tonumber(arguments[4]))
end

local function any()
    return math.random(first, last)
end

local function book(hold)
    sent = sent + 1
    return requests.booking(BOOKINGS, any(), label .. "/" .. sent, hold)
end

local function change(ids, verb)
    local id = table.remove(ids)
    if not id then
        return nil
    end
    sent = sent + 1
    return requests.post(BOOKINGS .. "/" .. id .. "/" .. verb, label .. "/" .. sent, "")
end

function request()
    local drawn = math.random(100)
    if drawn <= 20 then
        return requests.get("/api/slots")
    elseif drawn <= 40 then
        return requests.get("/api/slots/" .. requests.id(any()))
    elseif drawn <= 60 then
        return requests.get(BOOKINGS .. "/" .. requests.id(any()))
    elseif drawn <= 85 then
        return book(false)
    elseif drawn <= 90 then
        return book(true)
    elseif drawn <= 95 then
        return change(held, "confirm") or book(true)
    end
    return change(booked, "cancel") or book(false)
end

-- Costs the load generator some of its time, which only this scenario pays.
function response(status, _, body)
    local counter = "status_" .. status
    _G[counter] = (_G[counter] or 0) + 1
    if status == 201 then
        local ids = body:find('"status":"PENDING"', 1, true) and held or booked
        if #ids < MOST_REMEMBERED then
            ids[#ids + 1] = body:match('"id":"([0-9a-f-]+)"')
        end
    end
end
