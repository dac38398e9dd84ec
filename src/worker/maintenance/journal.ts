/** Maintenance of what stands beside the state of messages: events that were read go, and what is over of the search index. */
import { defaultIndex } from '../../queue/journal/index-entries.ts';
import { page, type MaintenanceTools } from './tools.ts';

/** Memory of events that wait to be read, unless it is configured. */
const defaultEventBytes = 64 * 1024 * 1024;

export async function tidyJournal({ journal, routing, now, emit }: MaintenanceTools): Promise<void> {
  const { config } = routing();
  const { droppedNow } = await journal.events.trim(config.events?.maxBytes ?? defaultEventBytes);
  if (droppedNow > 0) emit({ event: 'events-dropped', count: droppedNow });
  await journal.upkeep.noteFields(config.index ?? defaultIndex);
  await journal.upkeep.round(now());
  const room = await journal.room();
  // What was sent is worth less than what is to be sent.
  if (typeof room === 'object' && room.freeBytes <= 0) {
    const count = await journal.upkeep.dropKept(page);
    if (count > 0) emit({ event: 'contents-trimmed', count });
  }
}
