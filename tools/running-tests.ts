/** A reporter for vitest that keeps a file with the tests that run now, so that a run that is ended can say what it waited for. */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** The file's path; tools/check.ts sets it. */
export const runningTestsVariable = 'POSTLANE_RUNNING_TESTS';

/** vitest calls it with `new`, and with options that it does not need. */
export default function createRunningTests(): Reporter {
  const file = process.env[runningTestsVariable];
  const running = new Set<string>();
  const write = () => {
    if (file !== undefined) writeFileSync(file, [...running].join('\n'));
  };
  const start = (what: string) => {
    running.add(what);
    write();
  };
  const end = (what: string) => {
    running.delete(what);
    write();
  };
  const nameOf = (module: TestModule) => relative(process.cwd(), module.moduleId);
  const titleOf = (test: TestCase) => `${nameOf(test.module)} > ${test.fullName}`;
  return {
    // A file runs before its first test and after its last one too: imports, hooks, the search for leaks.
    onTestModuleQueued: (module) => start(nameOf(module)),
    onTestModuleEnd: (module) => end(nameOf(module)),
    onTestCaseReady: (test) => start(titleOf(test)),
    onTestCaseResult: (test) => end(titleOf(test)),
  };
}
