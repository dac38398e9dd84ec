/** Whether a mail may be a report, by its header and the types of its parts: only these are read whole. Leaves out none that the reader takes for one. */
import { valueOf, type Field } from './fields.ts';
import { isFromMailSystem } from './kind.ts';

/** What a server can say of a mail without its text. */
export const candidateHeaders = ['from', 'content-type', 'x-failed-recipients'] as const;

const reportTypes = /^(?:multipart\/report|message\/(?:global-)?delivery-status|message\/feedback-report)$/i;

/** `types`: of the mail and of its parts at any depth. */
export function mayBeReport(header: readonly Field[], types: readonly string[]): boolean {
  return (
    types.some((type) => reportTypes.test(type)) ||
    /^multipart\/report/i.test(valueOf(header, 'content-type')) ||
    header.some(({ name }) => name === 'x-failed-recipients') ||
    isFromMailSystem(header)
  );
}
