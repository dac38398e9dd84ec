/** An earlier commit as a contender: a tree of its own with its own dependencies, so that both are measured in one run. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { Disposables } from '../../testkit/disposables.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** The commit before the straight way through, which the targets of processor time are measured against. */
export const reference = 'aa565ca';

export interface Earlier {
  /** As it was named. */
  readonly commit: string;
  /** The worker process of its benchmark; how it is asked has not changed since `reference`. */
  readonly worker: string;
}

/** → the full name of a commit of this repository; null if there is none. */
export async function findCommit(commit: string): Promise<string | null> {
  const asked = run('git', ['rev-parse', '--verify', '--quiet', '--end-of-options', `${commit}^{commit}`], {
    cwd: root,
  });
  return asked.then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
}

/** Checks the commit out beside this tree and installs what it needs to run; both go when the list closes. */
export async function checkOut(
  commit: string,
  disposables: Disposables,
  progress: (text: string) => void,
): Promise<Earlier> {
  const name = await findCommit(commit);
  if (name === null) throw new Error(`there is no commit ${commit}`);
  const tree = join(mkdtempSync(join(tmpdir(), 'postlane-earlier-')), 'tree');
  disposables.defer('the tree of the earlier commit', async () => {
    rmSync(join(tree, '..'), { recursive: true, force: true });
    await run('git', ['worktree', 'prune'], { cwd: root });
  });
  progress(`${commit}: checking it out, and installing its dependencies`);
  await run('git', ['worktree', 'add', '--quiet', '--detach', tree, name], { cwd: root });
  await run('npm', ['ci', '--ignore-scripts', '--omit=dev', '--no-audit', '--no-fund', '--prefer-offline'], {
    cwd: tree,
  });
  return { commit, worker: pathToFileURL(join(tree, 'tools/bench/worker.ts')).href };
}
