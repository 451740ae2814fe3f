-- Reads. Arguments: path, and where its last segment is an id: number of the first, how many, seed.

require "summary"
local requests = require "requests"

local path, first, last

function init(arguments)
    path = arguments[1]
    if arguments[2] then
        first = tonumber(arguments[2])
        last = first + tonumber(arguments[3]) - 1
        math.randomseed(tonumber(arguments[4]))
    end
end

function request()
    if first then
        return requests.get(path .. "/" .. requests.id(math.random(first, last)))
    end
    return requests.get(path)
end
