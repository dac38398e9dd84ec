/** Schemas and small steps that the routes of an operator share: reasons, durations, cursors, and who acts. */
import { z } from 'zod';
import { maxReasonChars, type Actor } from '../../admin/audit.ts';
import { longestPauseMs } from '../../queue/lanes/pause.ts';
import type { Context } from './route.ts';

/** The token of the request, for pauses, operations and the audit. */
export function actorOf({ token, client, through }: Pick<Context, 'token' | 'client' | 'through'>): Actor {
  return { by: token.id, through, client };
}

export const reason = z
  .string()
  .trim()
  .min(1)
  .max(maxReasonChars)
  .meta({ description: 'Why; it is kept in the audit.' });

/** What has no fields: nothing, or `{}`. */
export const nothing = z.strictObject({}).optional();

const msPerUnit = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `30m`, `2h`, `7d` → ms. */
export const pauseLength = z
  .string()
  .regex(/^[1-9]\d{0,8}[smhd]$/)
  .transform((text, context): number => {
    const ms = Number(text.slice(0, -1)) * msPerUnit[text.slice(-1) as keyof typeof msPerUnit];
    if (ms <= longestPauseMs) return ms;
    context.addIssue({ code: 'custom', message: 'must be from 1s to 365d', params: { rule: 'duration' } });
    return z.NEVER;
  });

/** RFC 3339 with any offset → ms since the epoch. */
export const instant = z.iso
  .datetime({ offset: true })
  .transform((text) => Date.parse(text))
  .meta({ examples: ['2030-01-31T08:00:00Z'] });

export const limit = z.coerce.number().int().min(1).max(200).default(50);

/** `next` of the page before: opaque to clients, and checked like everything that they send. */
export function cursorOf<S extends z.ZodType>(place: S) {
  return z
    .string()
    .max(500)
    .transform((text, context): z.output<S> => {
      const parsed = place.safeParse(readJson(text));
      if (parsed.success) return parsed.data;
      context.addIssue({ code: 'custom', message: 'is not the `next` of a page', params: { rule: 'cursor' } });
      return z.NEVER;
    })
    .meta({ description: '`next` of the page before.' });
}

export function encodeCursor(place: unknown): string | null {
  return place === null ? null : Buffer.from(JSON.stringify(place)).toString('base64url');
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as unknown;
  } catch {
    return null;
  }
}

export const next = z.string().nullable().meta({ description: '`cursor` of the next page; null at the end.' });
