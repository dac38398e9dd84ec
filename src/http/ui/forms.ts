/** The forms: each path with what it does, by the routes of the API, and where it leads. */
import { connectorForms } from './forms/connectors.ts';
import { deadLetterForms } from './forms/dead-letters.ts';
import { operationForms } from './forms/operations.ts';
import { messageForms } from './forms/messages.ts';
import { suppressionForms } from './forms/suppressions.ts';
import { webhookForms } from './forms/webhooks.ts';
import type { Form, FormAct } from './form.ts';
import { paramsOf } from './paths.ts';

const forms: readonly Form[] = [
  ...connectorForms,
  ...messageForms,
  ...deadLetterForms,
  ...operationForms,
  ...suppressionForms,
  ...webhookForms,
];

export interface FoundForm {
  readonly act: FormAct;
  readonly params: readonly string[];
}

export function formFor(path: string): FoundForm | null {
  for (const { path: pattern, act } of forms) {
    const params = paramsOf(pattern, path);
    if (params !== null) return { act, params };
  }
  return null;
}
