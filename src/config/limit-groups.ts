/** The section `limitGroups`: what several connectors may send together; `limits.group` of a connector names one. */
import { z } from 'zod';
import type { GroupLimits } from '../routing/connector.ts';
import type { Path, Problem } from './issues.ts';
import type { PartialConnector } from './partial-connector.ts';
import { nearest } from './suggest.ts';
import * as value from './values.ts';

/** As that of a connector: it stands in keys of Redis. */
const groupIdPattern = /^[a-z0-9][a-z0-9_-]{0,63}$/;

const group = z.strictObject({
  messagesPerMinute: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('Messages of all connectors of the group in any 60 seconds, across all workers; not spaced.'),
  recipientsPerDay: z
    .int()
    .min(1)
    .max(100_000_000)
    .optional()
    .describe('Recipients of all connectors of the group in any 24 hours, across all workers; more mail waits.'),
  bytes: value.bytesPerWindow
    .optional()
    .describe('Bytes of all connectors of the group in any window of a given length, such as `150MB/5m`.'),
});

export const limitGroups = z
  .record(z.string(), group)
  .default({})
  .describe('Limits of groups of connectors, such as those of a whole tenant.');

export const groupOfConnector = z
  .string()
  .optional()
  .describe('Group of `limitGroups` whose limits hold beside those of the connector.');

/** null: the connector is in none. */
export function buildGroup(groups: z.output<typeof limitGroups>, id: string | undefined): GroupLimits | null {
  const found = id === undefined ? undefined : groups[id];
  if (id === undefined || found === undefined) return null;
  return {
    id,
    messagesPerMinute: found.messagesPerMinute ?? null,
    recipientsPerDay: found.recipientsPerDay ?? null,
    bytesPerWindow: found.bytes ?? null,
  };
}

export function limitGroupProblems(
  data: Record<string, unknown>,
  connectors: readonly PartialConnector[],
  show: (path: Path, value: unknown) => string | null,
): Problem[] {
  const groups = mapOf(data['limitGroups']);
  const known = Object.keys(groups);
  const all = mapOf(data['connectors']);
  const named = connectors.flatMap(({ id: connector, path }) => {
    const at = [...path, 'limits', 'group'];
    const id = mapOf(mapOf(all[connector])['limits'])['group'];
    return typeof id === 'string' ? [{ id, at }] : [];
  });
  const used = new Set(named.map(({ id }) => id));
  return [
    ...named.flatMap(({ id, at }): Problem[] => {
      if (known.includes(id)) return [];
      const near = nearest(id, known);
      const hint = near === null ? 'add it to limitGroups' : `did you mean ${near}?`;
      const message = `${show(at, id) ?? 'the value'} is none of limitGroups; ${hint}`;
      return [{ path: at, rule: 'limit-group-unknown', message, on: 'value' }];
    }),
    ...known.flatMap((id): Problem[] => {
      const path = ['limitGroups', id];
      if (!groupIdPattern.test(id)) {
        const message = 'an id has 1 to 64 lower-case letters, digits, - and _, and begins with a letter or digit';
        return [{ path, rule: 'limit-group-id', message, on: 'key' }];
      }
      const limits = groups[id];
      if (typeof limits === 'object' && limits !== null && Object.keys(limits).length === 0) {
        const message = 'limits nothing; set messagesPerMinute, recipientsPerDay or bytes';
        return [{ path, rule: 'limit-group-empty', message, on: 'key' }];
      }
      if (used.has(id)) return [];
      const message = 'is not used; name it in limits.group of a connector';
      return [{ path, rule: 'limit-group-unused', message, on: 'key' }];
    }),
  ];
}

function mapOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
