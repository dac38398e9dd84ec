/** The keys `fallback…` of a connector: who stands in for it while it is at fault, from when, and for whom it may stand in. */
import { z } from 'zod';
import { parseAddressPattern } from '../message/address.ts';
import type { Fallback } from '../routing/connector.ts';
import { everyAddress } from '../routing/fallback.ts';
import { durationOrNone, text, textAs, type Reading } from './values.ts';

/** Why a connector cannot send, as operators see it; without `throttled`, of which a slower pace takes care. */
const fallbackFaults = ['unreachable', 'tls', 'auth', 'quota', 'blocked', 'config'] as const;

const mostFallbacks = 10;

export const fallbackPattern = textAs('address-pattern', (written): Reading<string> => {
  if (written === everyAddress) return { value: written };
  const parsed = parseAddressPattern(written);
  return parsed.ok ? { value: parsed.value } : { must: `${parsed.problem}; write an address, *@domain, or *` };
});

export const fallbackKeys = {
  fallback: z
    .union([text, z.array(text).min(1).max(mostFallbacks)])
    .meta({ title: 'connector, or list of connectors' })
    .optional()
    .describe(
      'Connectors that its waiting mail goes by while it is at fault: the first one that works and may send for the From. Default: its mail waits.',
    ),
  fallbackAfter: durationOrNone(1)
    .prefault('60s')
    .describe('How long it must have been at fault before its mail goes by `fallback`; `0s` is at once.'),
  fallbackAtOnce: z
    .array(z.enum(fallbackFaults))
    .default([])
    .describe(
      'Faults after which `fallbackAfter` is not waited for: `unreachable`, `tls`, `auth`, `quota`, `blocked` or `config`.',
    ),
  fallbackFor: z
    .array(fallbackPattern)
    .optional()
    .describe(
      'From addresses, `*@domain` or `*`, that this connector may send for as a fallback, beside its own. Default: its own; every address if it has none, or is the system default gateway.',
    ),
};

const connectorKeys = z.object(fallbackKeys);

/** Null: its mail waits. */
export function buildFallback({
  fallback,
  fallbackAfter,
  fallbackAtOnce,
}: z.output<typeof connectorKeys>): Fallback | null {
  if (fallback === undefined) return null;
  const to = typeof fallback === 'string' ? [fallback] : [...new Set(fallback)];
  return { to, afterMs: fallbackAfter, atOnce: fallbackAtOnce };
}
