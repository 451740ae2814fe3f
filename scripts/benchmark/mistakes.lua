-- Asks what is refused whatever stands in the database: requests that are malformed or break the schema,
-- routes, slots and bookings that are not there, wrong methods and types.
-- Arguments: the run's label, seed.

require "summary"
local requests = require "requests"

local NO_SLOT = 999999999999

local label
local sent = 0

function init(arguments)
    label = arguments[1]
    math.randomseed(tonumber(arguments[2]))
end

local function post(body)
    return requests.post("/api/bookings", label .. "/" .. sent, body)
end

local kinds = {
    function() return post('{"slot_id":') end,
    function() return post('[]') end,
    function() return post('{"num_seats":1,"num_seats":2}') end,
    function() return post('{"slot_id":"' .. sent .. '","num_seats":0,"colour":"' .. sent .. '"}') end,
    function() return requests.booking("/api/bookings", NO_SLOT, label .. "/" .. sent) end,
    function()
        return (requests.booking("/api/bookings", NO_SLOT, label):gsub("application/json", "text/plain"))
    end,
    function() return requests.get("/api/slots/" .. requests.id(NO_SLOT)) end,
    function() return requests.get("/api/bookings/" .. sent) end,
    function() return requests.get("/api/nowhere/" .. sent) end,
    function() return requests.get("/api/slots?cursor=" .. sent) end,
    function() return requests.get("/api/slots?from=" .. sent .. "&limit=0") end,
    function() return requests.post("/api/slots", label .. "/" .. sent, "{}") end,
}

function request()
    sent = sent + 1
    return kinds[math.random(#kinds)]()
end
