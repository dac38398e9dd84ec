/** What a worker seals and opens with: the keys of the configuration in force, and the alarm where one is missing. */
import { isDeepStrictEqual } from 'node:util';
import { createSealing, type Sealing } from '../sealing/sealing.ts';
import type { OpenQueues } from '../queue/open.ts';
import type { Listener } from './events.ts';
import { createKeyAlarm, type KeyAlarm } from './key-alarm.ts';
import type { Routing } from './routes.ts';
import type { Timing } from './timing.ts';

/** Derived keys are kept for as long as the keys are the same. */
export function sealingInForce(routing: () => Routing): () => Sealing {
  let { encryption } = routing().config;
  let sealing = createSealing(encryption);
  return () => {
    const now = routing().config.encryption;
    if (now !== encryption) {
      if (!isDeepStrictEqual(now, encryption)) sealing = createSealing(now);
      encryption = now;
    }
    return sealing;
  };
}

export interface SealingTools {
  /** What bodies are sealed with, and opened. */
  readonly sealing: () => Sealing;
  /** Keys of metadata that rows may have where bodies are sealed: those that are indexed. */
  readonly indexedMetadata: () => readonly string[];
  readonly keyAlarm: KeyAlarm;
  /** Puts off what waits behind such a message under the same key, unless another worker has that. → how many. */
  readonly putOff: OpenQueues['keyless']['putOff'];
}

export function sealingToolsOf(
  { sealing, lanes, keyless }: Pick<OpenQueues, 'sealing' | 'lanes' | 'keyless'>,
  routing: () => Routing,
  emit: Listener,
  { keyWaitMs }: Pick<Timing, 'keyWaitMs'>,
): SealingTools {
  const note = async (connector: string, forMs: number): Promise<unknown> => lanes.noteKeyMissing(connector, forMs);
  return {
    sealing,
    indexedMetadata: () => routing().config.index?.metadata ?? [],
    // It spares work; without it each message is looked at by itself.
    putOff: (...of) => keyless.putOff(...of).catch(() => 0),
    keyAlarm: createKeyAlarm(emit, note, () => performance.now(), keyWaitMs),
  };
}
