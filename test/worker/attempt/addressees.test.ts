/** To whom an attempt goes, and what is said of those to whom it does not. */
import { expect, test } from 'vitest';
import { withDoubt } from '../../../src/worker/attempt/addressees.ts';

test('after an attempt without a result, a suppressed recipient is said to have been reached perhaps, once', () => {
  const suppressed = { address: 'a@b.test', outcome: 'suppressed', code: null, reply: 'on the list' } as const;
  const accepted = { address: 'c@b.test', outcome: 'accepted', code: '250', reply: 'ok' } as const;
  const once = withDoubt([suppressed, accepted]);
  expect(once).toEqual([{ ...suppressed, reply: 'on the list; an earlier attempt may have reached it' }, accepted]);
  expect(withDoubt(once)).toEqual(once);
});
