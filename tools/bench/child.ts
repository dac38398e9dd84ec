/** The parent's side of the benchmark processes: starts one, asks it, and ends it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer, Question } from './program.ts';

export interface Child {
  readonly pid: number;
  /** Rejects if the process answers with an error, or ends before it answers. */
  ask<Result = object>(command: string, argument?: number): Promise<Result>;
  /** SIGKILL. */
  stop(): Promise<void>;
}

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/** `program` is a file beside this one, or a URL. Resolves when it is ready. */
export async function startChild(program: string, settings: object): Promise<Child> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  const child = fork(file, { execArgv: ['--expose-gc'], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  const waiting = new Map<number, Waiting>();
  let asked = 0;
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = `${said}${text}`.slice(-4_000)));
  const exited = once(child, 'exit');
  const ready = Promise.withResolvers<void>();
  child.on('message', (answer: Answer) => {
    if (answer.id === null) return ready.resolve();
    const who = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ('error' in answer) who?.reject(new Error(`${program}: ${answer.error}`));
    else who?.resolve(answer.result as never);
  });
  const gone = (error: Error): void => {
    ready.reject(error);
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  child.once('error', gone);
  child.once('exit', (code, signal) => gone(new Error(`${program} ended with ${code ?? signal}\n${said}`)));
  child.send(settings);
  await ready.promise;
  return {
    pid: child.pid!,
    ask(command, argument = 0) {
      if (!child.connected) return Promise.reject(new Error(`${program} has ended`));
      const question: Question = { id: (asked += 1), command, argument };
      return new Promise((resolve, reject) => {
        waiting.set(question.id, { resolve, reject });
        child.send(question);
      });
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await exited;
    },
  };
}
