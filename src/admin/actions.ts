/** Everything that an operator changes, under their name: each step is recorded in the audit with what came of it. */
import type { OutboundMessage } from '../message/outbound.ts';
import type { MessageLimits } from '../message/message.ts';
import type { OpenQueues } from '../queue/open.ts';
import type { LanePause } from '../queue/lanes/pause.ts';
import { cancelMessage, sendMessageNow, type SendNowResult } from '../queue/waiting.ts';
import { lifetimeOf, resolution, type AdminConfig } from './admin-config.ts';
import { audited, type Actor, type Audit, type AuditNote, type Recorded } from './audit.ts';
import { beginBulk, type BulkAnswer, type BulkAsk, type BulkTools } from './bulk.ts';
import type { LetterActions, Replayed } from './letter-actions.ts';
import type { OperationState } from './operations.ts';
import { createRoutes } from './routes.ts';
import { createSuppressionActions, type SuppressionActions } from './suppressions.ts';
import { createWebhookActions, type WebhookActions } from './webhook-actions.ts';
import { timeText } from './time-text.ts';

export interface Actions extends WebhookActions, SuppressionActions {
  /** Holds a connector's lane. `forMs`: null is until it is resumed. → the pause that stood before, and the new one. */
  pause(
    connector: string,
    pause: { readonly reason: string; readonly forMs: number | null },
  ): Promise<{ readonly before: LanePause | null; readonly now: LanePause }>;
  /** → the pause that it has ended; null if there was none. It also retries a connector with a fault. */
  resume(connector: string, reason: string | null): Promise<LanePause | null>;
  /** One dead letter. */
  replay(id: string, how: { readonly via: string | null; readonly reason: string | null }): Promise<Replayed>;
  /** One dead letter, also of a held message. true if it was there. */
  drop(id: string, reason: string | null): Promise<boolean>;
  /** Many dead letters, by an operation. */
  begin(ask: BulkAsk): Promise<BulkAnswer>;
  /** → its state before; null if there is none of this id. */
  stopOperation(id: string, reason: string | null): Promise<OperationState | null>;
  setRate(id: string, ratePerSecond: number | null): Promise<OperationState | null>;
  /** A held message. false if it is not held. */
  resolve(id: string, as: 'sent' | 'retry' | 'drop', reason: string | null): Promise<boolean>;
  /** true if it will not be sent. */
  cancel(id: string): Promise<boolean>;
  /** Tries a scheduled or deferred message at once. */
  sendNow(id: string): Promise<SendNowResult>;
  /** Sends what is kept of a message as a new one, which names the old one. null if nothing is kept. `send` is a producer's. */
  resend<Sent extends { readonly id: string }>(
    id: string,
    send: (message: OutboundMessage) => Promise<Sent>,
  ): Promise<Sent | null>;
  /** Sends a test message through a chosen connector. `resultOf`: the message, or the code of why there is none. */
  sendVia<Answer>(
    connector: string,
    send: () => Promise<Answer>,
    resultOf: (answer: Answer) => { readonly id: string; readonly duplicate: boolean } | { readonly code: string },
  ): Promise<Answer>;
  /** Something else that was done, or was refused. */
  note(note: AuditNote, result: string): Promise<void>;
}

export interface ActionTools extends BulkTools, LetterActions {
  readonly open: OpenQueues;
  readonly audit: Audit;
  readonly limits: MessageLimits;
  /** What a message consists of, where it is there as a whole. */
  readonly contentOf: (id: string) => Promise<OutboundMessage | null>;
}

/** `config` is that in force. */
export function createActions(tools: ActionTools, actor: Actor, config: AdminConfig): Actions {
  const { open, audit, operations, limits } = tools;
  const recorded: Recorded = (note, work, resultOf) =>
    audited(audit, actor, { target: null, reason: null, detail: null, ...note }, work, resultOf);
  const doneIf = (done: boolean) => ({ result: done ? 'done' : 'refused' });

  return {
    ...createWebhookActions(open.deliveries, recorded),
    ...createSuppressionActions(open.suppressions, actor, recorded),

    pause: (connector, { reason, forMs }) =>
      recorded(
        { action: 'pause', target: connector, reason },
        () => open.lanes.pause(connector, { by: actor.by, reason, forMs }),
        ({ now: { until } }) => ({ result: 'done', detail: until === null ? null : `until ${timeText(until)}` }),
      ),

    resume: (connector, reason) =>
      recorded(
        { action: 'resume', target: connector, reason },
        () => open.lanes.resume(connector),
        (ended) => ({
          result: 'done',
          detail: ended === null ? 'was not paused' : `ended the pause of ${ended.by ?? 'another program'}`,
        }),
      ),

    replay: (id, { via, reason }) =>
      recorded(
        { action: 'replay', target: id, reason, detail: via === null ? null : `via ${via}` },
        async () => {
          const connector = via ?? (await open.deadLetters.summary(id))?.connector ?? null;
          return tools.replay(id, { via, now: Date.now(), lifetimeMs: lifetimeOf(config, connector) });
        },
        (result) => ({ result: result === 'replayed' || result === 'already' ? 'done' : result }),
      ),

    drop: (id, reason) =>
      recorded(
        { action: 'drop', target: id, reason },
        async () =>
          // A held message is dropped with its dead letter; otherwise its row would wait for an operator forever.
          (await tools.resolve(id, 'drop', resolution(config, null, Date.now()))) || (await tools.drop(id)),
        (dropped) => ({ result: dropped ? 'done' : 'not-found' }),
      ),

    begin: (ask) =>
      recorded(
        { action: ask.kind, reason: ask.reason },
        () => beginBulk(tools, ask, actor, createRoutes(config), Date.now()),
        (answer) =>
          answer.ok
            ? {
                result: 'done',
                detail: `${answer.operation.id}: ${answer.operation.total} dead ${answer.operation.total === 1 ? 'letter' : 'letters'}: ${answer.operation.what}${ask.via === null ? '' : `, via ${ask.via}`}`,
              }
            : { result: 'refused', detail: answer.why },
      ),

    stopOperation: (id, reason) =>
      recorded(
        { action: 'operation-stop', target: id, reason },
        () => operations.stop(id, actor.by, reason),
        (before) => ({ result: before === 'running' ? 'done' : 'refused' }),
      ),

    setRate: (id, ratePerSecond) =>
      recorded(
        { action: 'operation-rate', target: id, detail: ratePerSecond === null ? 'no limit' : `${ratePerSecond}/s` },
        () => operations.setRate(id, ratePerSecond),
        (state) => ({ result: state === 'running' ? 'done' : 'refused' }),
      ),

    resolve: (id, as, reason) =>
      recorded(
        { action: 'resolve', target: id, reason, detail: `as ${as}` },
        async () => {
          const letter = await open.deadLetters.summary(id);
          return tools.resolve(id, as, resolution(config, letter?.connector ?? null, Date.now()));
        },
        doneIf,
      ),

    cancel: (id) =>
      recorded(
        { action: 'cancel', target: id },
        () => cancelMessage(id, open, { limits, retentionMs: config.retention.ledgerMs }),
        doneIf,
      ),

    sendNow: (id) =>
      recorded(
        { action: 'send-now', target: id },
        () => sendMessageNow(id, open, Date.now()),
        (answer) => (answer === 'ok' ? { result: 'done' } : { result: 'refused', detail: answer }),
      ),

    resend: (id, send) =>
      recorded(
        { action: 'resend', target: id },
        async () => {
          const message = await tools.contentOf(id);
          return message === null ? null : send(message);
        },
        (sent) => (sent === null ? { result: 'refused' } : { result: 'done', detail: `as ${sent.id}` }),
      ),

    sendVia: (connector, send, resultOf) =>
      recorded({ action: 'send-via', target: connector }, send, (answer) => {
        const sent = resultOf(answer);
        if ('code' in sent) return { result: sent.code };
        return { result: 'done', detail: `message ${sent.id}${sent.duplicate ? ', which was there before' : ''}` };
      }),

    note: (note, result) => audit.record(actor, note, result),
  };
}
