/** Holds the units in deploy/systemd to systemd and to the program. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesUnder, root, textOf } from '../support/source.ts';

const units = filesUnder('deploy/systemd');
const analyze = (...args: string[]) =>
  spawnSync('systemd-analyze', args, { encoding: 'utf8', env: { ...process.env, SYSTEMD_LOG_LEVEL: 'warning' } });
const hasSystemd = analyze('--version').status === 0;

/** Of most to least: 10 to 0. A service without any of it has 9.6. */
const mostExposure = 2;

test('there is a unit for each process that runs until it is told to stop', () => {
  expect(
    units.map((unit) => /ExecStart=\/usr\/bin\/env postlane (\w+)$/m.exec(textOf(unit))?.[1] ?? '').toSorted(),
  ).toEqual(['outbox', 'serve', 'smtp', 'worker']);
});

describe.each(units)('%s', (unit) => {
  const text = textOf(unit);

  test('a mistake in the configuration, exit code 2, does not start it again', () => {
    expect(text).toContain(`RestartPreventExitStatus=2\n`);
    expect(text).toContain('Restart=on-failure\n');
  });

  test('names credentials in the form that the configuration reads', () => {
    expect(text).toContain('${credential:NAME}');
    expect(text).toMatch(/^#LoadCredential=[\w-]+:\/etc\/postlane\/secrets\/[\w-]+$/m);
  });

  test.runIf(hasSystemd)('is a unit that systemd takes without a warning', () => {
    const { status, stderr } = analyze('verify', '--man=no', join(root, unit));
    // Its program is installed where it is used, and not here.
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test.runIf(hasSystemd)('may do little, as systemd counts it', () => {
    const { stdout } = analyze('security', '--offline=true', '--no-pager', join(root, unit));
    const exposure = Number(/exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]);
    expect(exposure).toBeLessThanOrEqual(mostExposure);
  });
});
