import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'smol-toml';
import { waitUntil } from '../support/wait-until.ts';
import { manifestFrom } from '../../webhook/core/app-manifest.ts';
import { hostTest } from './host-test.ts';
import { bringUpTestHost } from './test-host.ts';

/**
 * The guest's units as rendered (test/fixtures/guest-units), under a real systemd: what the manifest's author wrote reaches the program word by word, with
 * every character that a unit file, a specifier or a shell could take for itself.
 */
const project = resolve(import.meta.dirname, '../..');
const fixture = join(project, 'test/fixtures/guest-units/two-services-with-database');

function renderedUnits(): Map<string, string> {
  const text = readFileSync(`${fixture}.units`, 'utf8')
    .replace(/^Environment="PATH=.*$/gm, 'Environment="PATH=/opt/fakes:/usr/bin:/bin"')
    .replaceAll('<run-setup-once.sh>', join(project, 'server-config/guest/run-setup-once.sh'))
    .replaceAll('<bash>/bin/', '/usr/bin/');
  return new Map(
    text
      .split(/^# (?=\S+\.(?:service|target)$|\/etc)/m)
      .slice(1)
      .map((part): [string, string] => {
        const end = part.indexOf('\n');
        return [part.slice(0, end), part.slice(end + 1)];
      }),
  );
}

/** The fakes write their files in any order. */
const byText = (a: string[], b: string[]) => a.join(' ').localeCompare(b.join(' '));

hostTest(
  'an app’s commands reach its programs word by word, its services wait for the setup, and the setup runs once',
  async () => {
    const parsed = manifestFrom(parse(readFileSync(`${fixture}.toml`, 'utf8')));
    assert.ok(parsed.ok);
    await using host = await bringUpTestHost();
    const write = (path: string, text: string) =>
      host.run(['sh', '-c', 'mkdir -p "$(dirname "$1")" && cat > "$1"', 'sh', path], { input: text });
    const units = renderedUnits();
    for (const [name, text] of units) if (!name.startsWith('/')) await write(`/etc/systemd/system/${name}`, text);
    await write('/etc/preview.env', 'PREVIEW_BRANCH="it\'s $(x)"\n');
    // Stand-ins for the app's programs: each writes down its words and its variables, one file per call, and stays if it is a service.
    const fake =
      '#!/bin/bash\nout=$(mktemp "/var/lib/preview/ran-$(basename "$0").XXXXXX")\nprintf "%s\\0" "$@" "PORT=${PORT-}" "HOST=${HOST-}" "BRANCH=$PREVIEW_BRANCH" > "$out"\n[ "$1" = ci ] || exec sleep infinity\n';
    for (const program of ['node', 'npm']) await write(`/opt/fakes/${program}`, fake);
    await host.run([
      'sh',
      '-c',
      'chmod +x /opt/fakes/* && useradd --create-home --user-group preview && mkdir -p /home/preview/app',
    ]);
    await host.run(['systemctl', 'daemon-reload']);
    await host.run(['systemctl', 'start', '--no-block', 'preview.target']);

    const ran = async () => {
      const { stdout } = await host.run(
        ['sh', '-c', 'for f in $(ls /var/lib/preview/ran-* 2>/dev/null); do tr "\\0" "\\1" < "$f"; echo; done'],
        { reject: false },
      );
      return stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split('\u0001').slice(0, -1))
        .toSorted(byText);
    };
    await waitUntil('setup and three services ran', async () => (await ran()).length === 4, 60_000);
    const branch = "BRANCH=it's $(x)";
    const api = parsed.manifest.services[0]?.command as string[];
    assert.deepEqual(
      await ran(),
      [
        [...api.slice(1), 'PORT=4000', 'HOST=0.0.0.0', branch],
        ['ci', 'PORT=', 'HOST=', branch],
        ['run', 'mailer', 'PORT=', 'HOST=0.0.0.0', branch],
        ['run', 'web', 'PORT=3000', 'HOST=0.0.0.0', branch],
      ].toSorted(byText),
    );
    const said = (await host.run(['journalctl', '--unit', 'setup-preview', '--output=cat', '--no-pager'])).stdout;
    assert.match(
      said,
      /^it's 100% of \/home\/preview; \\ uid=\d+\(preview\).* %h ?$/m,
      'the shell sees the line as it was written',
    );

    await host.run(['systemctl', 'stop', 'preview.target']);
    await host.run(['systemctl', 'start', '--no-block', 'preview.target']);
    await waitUntil('three services ran again', async () => (await ran()).length === 7, 60_000);
    assert.equal((await ran()).filter(([word]) => word === 'ci').length, 1, 'three services again, no second setup');
  },
);
