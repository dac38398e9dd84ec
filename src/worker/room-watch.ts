/** Says once when Redis has no more room for new messages, and once when it has again: applications are refused meanwhile. */
import type { RoomAnswer } from '../queue/room.ts';
import type { Listener } from './events.ts';

/** → to be called now and then. `look` asks Redis. */
export function createRoomWatch(look: () => Promise<RoomAnswer>, emit: Listener): () => Promise<void> {
  let wasFull = false;
  return async () => {
    const room = await look();
    if (typeof room === 'string') return;
    const isFull = room.freeBytes <= 0;
    if (isFull === wasFull) return;
    wasFull = isFull;
    const { usedBytes, maxBytes, reservedBytes } = room;
    emit({ event: isFull ? 'redis-full' : 'redis-room', usedBytes, maxBytes, reservedBytes });
  };
}
