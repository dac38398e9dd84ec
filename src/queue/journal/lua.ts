/**
 * Everything that the scripts of a message's life write beside its state, in the same step: entries of the search index, counters of five
 * minutes, and events. Each script has one call for it, and one argument, the note (notes.ts).
 *
 *   note    KIND SOON CONNECTOR [FIELD:DAY.BUCKETS:BUCKET MEMBER]…; '' writes nothing
 *
 * Events are written only while they are read (`events:wanted`, see event-scripts.ts), and cost nothing where they are not.
 */

/** Of counters, in ms and in s. */
export const slotMs = 300_000;
const slotSeconds = 8 * 86_400;
const connectorSlotSeconds = 25 * 3_600;

/** Longer recipients are left out of an event; the row has them. */
export const maxEventRecipientsBytes = 16_384;

/**
 * Needs `now`; what counts also `tally`, what is of messages also `later`, and nothing of a script's own inputs; the two below need this. Every key is in the shard of
 * `unsettled`.
 *
 * - `journalRow(unsettled, id, note, isNew, entry, fields)`: a message has entered its lane, as a new one or again.
 * - `journalResult(unsettled, rowKey, id, note, isNew, n, state, entry, recipients, reason, answer)`: a result was written.
 * - `journalFault(faults, fault, reply, pauseMs, count)`: a fault of a connector began a pause.
 * - `journalEvent(prefix, kind, …)`: something else happened.
 * - `journalPause(kind, pause, by, reason, till)`: an operator has held or released a lane.
 */
export const luaJournal = `
local journalWants = {}
local function journalWanted(prefix, kind)
  local wants = journalWants[prefix]
  if wants == nil then
    wants = redis.call('GET', prefix .. ':events:wanted')
    journalWants[prefix] = wants
  end
  return wants and (kind ~= 'accepted' or wants == 'all')
end
local journalAt = nil
local function journalEvent(prefix, kind, ...)
  if not journalWanted(prefix, kind) then return end
  journalAt = journalAt or string.format('%.0f', now)
  redis.call('XADD', prefix .. ':events', '*', 't', kind, 'at', journalAt, ...)
end
`;

/** `journalCount(prefix, kind, soon, connector)`. */
export const luaJournalCount = `
local journalSlot = nil
local function journalCount(prefix, kind, soon, connector)
  if not journalSlot then journalSlot = string.format(':stats:%.0f', now - now % ${slotMs}) end
  local key = prefix .. journalSlot
  tally(key, kind, ${slotSeconds})
  if soon == '1' then tally(key, 'soon', ${slotSeconds}) end
  if kind ~= 'accepted' and connector ~= '-' then
    tally(key .. ':connectors', kind .. ' ' .. connector, ${connectorSlotSeconds})
  end
end
`;

/** What the two below share. */
export const luaJournalMessage = `
-- A number costs Redis more than a text does: it writes each with 17 digits (script_lua.c, "%.17g").
local function journalIndex(prefix, id, entries)
  -- At once: hardly two of a turn go into one set. A stranger's key in its place is no fault of the message.
  for set, member in string.gmatch(entries, ' (%S+) (%S+)') do redis.pcall('ZADD', prefix .. ':find:' .. set, '0', member .. id) end
end
local function journalShort(recipients)
  return #recipients <= ${maxEventRecipientsBytes} and recipients or ''
end
`;

export const luaJournalRow = `
local function journalRow(unsettled, id, note, isNew, entry, fields)
  if note == '' then return end
  local prefix = string.sub(unsettled, 1, -11)
  local kind, soon, connector, entries = string.match(note, '^(%S+) (%S+) (%S+)(.*)$')
  journalIndex(prefix, id, entries)
  later('LPUSH', prefix .. ':recent', id)
  if not isNew then return end
  journalCount(prefix, kind, soon, connector)
  if not journalWanted(prefix, kind) then return end
  local row = {}
  for i = 1, #fields, 2 do row[fields[i]] = fields[i + 1] end
  journalEvent(prefix, kind, 'i', id, 'n', '1', 's', 'queued', 'c', connector, 'e', entry, 'r', journalShort(row.recipients or ''),
    'm', row.messageId or '', 'd', row.metadata or '')
end
`;

export const luaJournalResult = `
local function journalResult(unsettled, rowKey, id, note, isNew, n, state, entry, recipients, reason, answer)
  if note == '' then return end
  local prefix = string.sub(unsettled, 1, -11)
  local kind, soon, connector, entries = string.match(note, '^(%S+) (%S+) (%S+)(.*)$')
  if entries ~= '' then journalIndex(prefix, id, entries) end
  if isNew then later('LPUSH', prefix .. ':recent', id) end
  if kind ~= '-' then
    journalCount(prefix, kind, soon, connector)
    if journalWanted(prefix, kind) then
      local row = redis.call('HMGET', rowKey, 'messageId', 'metadata')
      local fields = { 'i', id, 'n', string.format('%d', n or 0), 's', state, 'c', connector, 'e', entry, 'r', journalShort(recipients), 'm', row[1] or '' }
      if reason ~= '' then fields[#fields + 1], fields[#fields + 2] = 'x', reason end
      if row[2] then fields[#fields + 1], fields[#fields + 2] = 'd', row[2] end
      journalEvent(prefix, kind, unpack(fields))
    end
  end
  if answer == 'recovered' then journalEvent(prefix, 'connector.recovered', 'c', connector) end
end
`;

/** `faults` is the key of the connector's faults. */
export const luaJournalFault = `
local function journalFault(faults, fault, reply, pauseMs, count)
  local prefix, connector = string.match(faults, '^(.*):connector:(.*)$')
  journalCount(prefix, 'fault', '0', connector)
  journalEvent(prefix, 'connector.fault', 'c', connector, '.fault', fault, '.reply', reply, '.pauseMs', pauseMs, '.faults', count)
end
`;

/** `pause` is the key of the connector's pause. */
export const luaJournalPause = `
local function journalPause(kind, pause, by, reason, till)
  local prefix, connector = string.match(pause, '^(.*):connector:(.*):pause$')
  journalEvent(prefix, kind, 'c', connector, '.by', by, '.reason', reason, '.until', till)
end
`;
