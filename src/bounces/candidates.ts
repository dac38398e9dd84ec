/** Whether a mail may be a report, by its header and the types of its parts: only these are read whole. Leaves out none that the reader takes for one. */
import { valueOf, type Field } from './fields.ts';
import { isComplaintSubject, isFromMailSystem, isFromNoReply } from './kind.ts';
import { isFromSns } from './ses-notification.ts';

/** What a server can say of a mail without its text. */
export const candidateHeaders = ['from', 'subject', 'content-type', 'x-failed-recipients'] as const;

const reportTypes = /^(?:multipart\/report|message\/(?:global-)?delivery-status|message\/feedback-report)$/i;

/** `types`: of the mail and of its parts at any depth; null where the server does not tell them. */
export function mayBeReport(header: readonly Field[], types: readonly string[] | null): boolean {
  const hasMail = types?.some((type) => /^message\/rfc822$/i.test(type)) ?? null;
  return (
    types?.some((type) => reportTypes.test(type)) === true ||
    /^multipart\/report/i.test(valueOf(header, 'content-type')) ||
    header.some(({ name }) => name === 'x-failed-recipients') ||
    isFromMailSystem(header) ||
    isFromSns(valueOf(header, 'from')) ||
    (isComplaintSubject(valueOf(header, 'subject')) && hasMail !== false) ||
    // Where the types are unknown, newsletters would all be read.
    (isFromNoReply(header) && hasMail === true)
  );
}
