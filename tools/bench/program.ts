/** The child's side of the benchmark processes: the first message has the settings; each further one asks, and is answered. */
import { once } from 'node:events';

/** Command → what it does; the answer is what it resolves to. */
type Commands = Readonly<Record<string, (argument: number) => Promise<object> | object>>;

export interface Question {
  readonly id: number;
  readonly command: string;
  readonly argument: number;
}

/** `id` null: ready for questions. */
export type Answer =
  | { readonly id: number | null; readonly result: object }
  | { readonly id: number; readonly error: string };

/** The process ends with its parent. */
export async function settingsOf<Settings>(): Promise<Settings> {
  process.once('disconnect', () => process.exit(1));
  const [settings] = await once(process, 'message');
  return settings as Settings;
}

/** Reports that the process is ready, and answers from then on. */
export function answer(commands: Commands): void {
  const say = (answer: Answer): void => void process.send?.(answer);
  process.on('message', ({ id, command, argument }: Question) => {
    const work = async (): Promise<object> => (await commands[command]?.(argument)) ?? {};
    work().then(
      (result) => say({ id, result }),
      (error: unknown) => say({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  say({ id: null, result: {} });
}
