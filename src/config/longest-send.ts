/** How long one send may take by the timeouts of its connector: what `worker.drain` has to allow for if every send is to finish. */
import { unreachable } from '../errors.ts';
import { sends } from '../routing/connector.ts';
import type { Config, TransportSettings } from './config.ts';

interface LongestSend {
  readonly connector: string;
  readonly longestMs: number;
}

/** Of all connectors that send, the one whose timeouts allow the longest; null if none sends. */
export function longestSend({ connectors }: Pick<Config, 'connectors'>): LongestSend | null {
  let longest: LongestSend | null = null;
  for (const { id, direction, transport } of connectors) {
    if (transport === null || !sends(direction)) continue;
    const longestMs = longestMsOf(transport);
    if (longest === null || longestMs > longest.longestMs) longest = { connector: id, longestMs };
  }
  return longest;
}

function longestMsOf(transport: TransportSettings): number {
  switch (transport.kind) {
    case 'smtp': {
      const { totalMs, dataTerminationMs } = transport.smtp.timeouts;
      // The reply to the end of data has a time of its own.
      return totalMs + dataTerminationMs;
    }
    case 'graph': {
      const { tokenMs, requestMs, uploadMs } = transport.graph.timeouts;
      return tokenMs + Math.max(requestMs, uploadMs);
    }
    default:
      return unreachable(transport);
  }
}
