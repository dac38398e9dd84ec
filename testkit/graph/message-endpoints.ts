/** The endpoints on one message: read, change, delete, attach, send. */
import { empty, graphError, json } from './answers.ts';
import type { MailContext } from './mail-context.ts';
import type { StoredMessage } from './mailbox.ts';
import { attachmentJson, messageJson, readAttachment, readMessage, readTyped, selectedJson } from './message-json.ts';
import { pick } from './queries.ts';
import type { Answer, Operation } from './requests.ts';

type Endpoint = (context: MailContext, message: StoredMessage) => Answer;

/** Only a draft can be changed. */
function draftOnly(work: Endpoint): Endpoint {
  return (context, message) =>
    message.isDraft ? work(context, message) : graphError(400, 'ErrorInvalidRequest', 'The item is not a draft.');
}

export const messageEndpoints: Partial<Record<Operation, Endpoint>> = {
  getMessage({ call, mailbox, immutable }, message) {
    const wanted = call.query.get('$select');
    const all = messageJson(message, mailbox, immutable);
    return json(200, wanted === undefined ? all : pick({ ...all, ...selectedJson(message) }, wanted));
  },
  // https://learn.microsoft.com/graph/outlook-get-mime-message
  getContent: (_, { mime }) =>
    mime === null
      ? graphError(500, 'ErrorContentConversionFailed', 'This fake makes no MIME of JSON.')
      : { status: 200, headers: { 'content-type': 'text/plain' }, body: '', octets: mime },
  updateMessage: draftOnly(({ call, mailbox, immutable }, message) =>
    json(200, messageJson(mailbox.change(message, readMessage(readTyped(call))), mailbox, immutable)),
  ),
  deleteMessage({ mailbox }, message) {
    mailbox.remove(message);
    return empty(204);
  },
  send({ call, mailbox, outbox }, message) {
    // https://learn.microsoft.com/graph/api/message-send
    if (call.headers['content-length'] !== '0') {
      return graphError(411, 'LengthRequired', 'Content-Length: 0 is required.');
    }
    const refused = outbox.refusal(mailbox, message);
    if (refused !== null) return refused;
    // No page documents what a second `send` of one message does. The worst is assumed: it goes out again.
    outbox.submit(mailbox, message, true);
    return empty(202);
  },
  listAttachments: (_, message) => json(200, { value: message.attachments.map(attachmentJson) }),
  addAttachment: draftOnly(({ call, mailbox }, message) => {
    const attachment = readAttachment(readTyped(call));
    mailbox.change(message, { attachments: [...message.attachments, attachment] });
    return json(201, attachmentJson(attachment));
  }),
  deleteAttachment({ call, mailbox }, message) {
    const rest = message.attachments.filter(({ id }) => id !== call.parameters['attachment']);
    if (rest.length === message.attachments.length) {
      return graphError(404, 'ErrorItemNotFound', 'The specified attachment was not found.');
    }
    mailbox.change(message, { attachments: rest });
    return empty(204);
  },
  createUploadSession: draftOnly(({ call, mailbox, uploads }, message) =>
    uploads.create(mailbox, message, readTyped(call)),
  ),
};
