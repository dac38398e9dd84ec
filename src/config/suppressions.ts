/** The `suppressions` section: what Postlane adds to the suppression list by itself. */
import { z } from 'zod';
import * as value from './values.ts';

export const suppressions = z
  .strictObject({
    fromBounces: z
      .boolean()
      .default(false)
      .describe(
        'Adds a recipient to the suppression list when a delivery report says that its address fails for good, or that it complains.',
      ),
    for: value.duration(3650).prefault('30d').describe('How long such an entry counts.'),
  })
  .prefault({})
  .describe('What Postlane adds to the suppression list by itself.');

export function buildSuppressions({ fromBounces, for: forMs }: z.output<typeof suppressions>): {
  readonly fromBounces: boolean;
  readonly forMs: number;
} {
  return { fromBounces, forMs };
}
