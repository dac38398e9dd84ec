/** The default timeouts: what RFC 5321 asks of a client, in minutes. */
import { expect, test } from 'vitest';
import { smtpTimeouts } from '../../../src/transport/smtp/settings.ts';

const minute = 60_000;

test.each<[string, number, number]>([
  ['the greeting', smtpTimeouts.greetingMs, 5],
  ['MAIL', smtpTimeouts.commandMs, 5],
  ['RCPT', smtpTimeouts.commandMs, 5],
  ['DATA', smtpTimeouts.commandMs, 2],
  ['a block of the message', smtpTimeouts.commandMs, 3],
  ['the end of data', smtpTimeouts.dataTerminationMs, 10],
  ['one recipient in all, up to the message', smtpTimeouts.totalMs, 5 + 5 + 5 + 5 + 2],
])('by default the wait for %s is at least what RFC 5321 section 4.5.3.2 asks for', (_, timeoutMs, minutes) => {
  expect(timeoutMs).toBeGreaterThanOrEqual(minutes * minute);
});
