/** `cancel`, `send-now`, `resend`: what an operator does to one message. */
import type { Command } from 'commander';
import { PostlaneError, printable, unreachable } from '../errors.ts';
import type { SendNowResult } from '../queue/waiting.ts';
import { shellActor } from './actor.ts';
import type { Action, Call } from './command.ts';
import { openOperator, openProducer, requireConfig } from './compose.ts';
import { Conflict, type ExitCode } from './failure.ts';

export function addMessages(program: Command, action: Action): void {
  program
    .command('cancel')
    .argument('<id>', 'id of a message')
    .description('do not send a message; only before a recipient has it')
    .action(action((call, _options, [id = '']) => act(call, id, 'cancel')));
  program
    .command('send-now')
    .argument('<id>', 'id of a message')
    .description('send a scheduled message now, or try a deferred one now')
    .action(action((call, _options, [id = '']) => act(call, id, 'send-now')));
  program
    .command('resend')
    .argument('<id>', 'id of a message')
    .description('send a message once more, as a new one; its content must still be kept (retention.content)')
    .action(action((call, _options, [id = '']) => act(call, id, 'resend')));
}

async function act(call: Call, id: string, what: 'cancel' | 'send-now' | 'resend'): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const operator = await openOperator(config);
  try {
    const allowed = await operator.actions(id);
    const named = `"${printable(id, 130)}"`;
    if (allowed === null) throw new PostlaneError('not-found', `No message has the id ${named}.`);
    const answer = allowed.find(({ action }) => action === what);
    if (answer?.allowed !== true) throw new Conflict(`${named}: ${answer?.why ?? ''}`);
    const actions = operator.as(shellActor(), config);
    switch (what) {
      case 'cancel':
        if (!(await actions.cancel(id))) throw new Conflict(`${named} is being sent, or is settled.`);
        return done(call, { id, result: 'cancelled' }, `${id} is cancelled.`);
      case 'send-now': {
        const sent = await actions.sendNow(id);
        if (sent !== 'ok') throw new Conflict(`${named}: ${sendNowRefusal(sent)}`);
        return done(call, { id, result: 'sent-now' }, `${id} is sent now.`);
      }
      case 'resend': {
        const producer = await openProducer(config);
        try {
          const sent = await actions.resend(id, (message) => producer.send(message));
          if (sent === null) throw new Conflict(`${named}: its content is not kept.`);
          return done(call, { id: sent.id, resendOf: id }, `${sent.id} is ${id} once more.`);
        } finally {
          await producer.close();
        }
      }
      default:
        return unreachable(what);
    }
  } finally {
    operator.close();
  }
}

function done({ terminal }: Call, result: unknown, line: string): ExitCode {
  terminal.result(result, () => [line]);
  return 0;
}

function sendNowRefusal(answer: Exclude<SendNowResult, 'ok'>): string {
  switch (answer) {
    case 'unknown':
      return 'no message has this id.';
    case 'state':
      return 'only scheduled and deferred messages can be sent now.';
    case 'uncertain':
      return 'its last attempt may have delivered it.';
    case 'set-aside':
      return 'it waits until other messages show whose fault its refusal was.';
    case 'waiting':
      return 'it is in line already, or being sent.';
    default:
      return unreachable(answer);
  }
}
