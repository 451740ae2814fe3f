-- Books one seat a request, each for a user and under a key of its own.
-- Arguments: path, number of the first slot, how many slots, the run's label, seed.

require "summary"
local requests = require "requests"

local path, first, last, label
local sent = 0

function init(arguments)
    path, label = arguments[1], arguments[4]
    first = tonumber(arguments[2])
    last = first + tonumber(arguments[3]) - 1
    math.randomseed(tonumber(arguments[5]))
end

function request()
    sent = sent + 1
    return requests.booking(path, math.random(first, last), label .. "/" .. sent)
end
