/** Every kind of drift between records and host is named by `preview doctor`, and mended by `--fix`. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'node:test';
import { eventually, host, hostd, noAbort } from './a-host-runtime.ts';
import { lookAtHost } from '../../simulation/host-stage.ts';
import { anOperator, preview, shopAt, shows, startOperator, stopOperator } from './an-operator.ts';

const shop = 'shop-1.preview.test';

/** The findings of doctor, which ends with 1 when there are some. */
async function findings(...flags: string[]): Promise<string[]> {
  const text = await preview('doctor', '--json', ...flags).catch((error: { stdout: string }) => error.stdout);
  const view = JSON.parse(text) as { findings: { kind: string; about: string; message: string }[] };
  return view.findings.map(({ kind, about, message }) => `${kind} ${about}: ${message}`).toSorted();
}

test('preview build warms a closure; drift of every kind is named and mended; a stopped container still has its log', async (t) => {
  const github = await anOperator(t);
  const repository = await github.addRepository('acme/shop', shopAt('0'));
  await repository.commit('feature', shopAt('1'), 'One');

  // Two at once build once; the preview then needs no build.
  const built = await Promise.all([1, 2].map(() => preview('build', 'acme/shop', 'feature')));
  for (const text of built)
    assert.match(text, /^Preview closure for acme\/shop@feature \([0-9a-f]{8}\) built and cached: \/nix\/store\//);
  assert.equal(readdirSync('/var/lib/berth/closures').filter((name) => /^[0-9a-f]{32}$/.test(name)).length, 1);
  const system = built[0]?.trim().split(' ').at(-1) ?? '';
  await assert.rejects(preview('build', 'acme/other', 'main'), /not on the allow-list/);
  await assert.rejects(preview('build', 'acme/shop', 'nowhere'), /no branch/);

  const pull = await repository.openPullRequest({ head: 'feature' });
  await shows(shop, 'version 1');
  const [answer] = await hostd.ask({ verb: 'list-answers' });
  const name = answer?.name ?? '';
  assert.equal(
    host('readlink', '-f', `/nix/var/nix/profiles/per-container/${name}/system`),
    system,
    'what was warmed runs',
  );
  await eventually(async () => (await findings()).length === 0, 'all is as it should be');

  await t.test('what the histories look for on a host is what a live preview has there', () => {
    const { running, things } = lookAtHost();
    assert.deepEqual([...running.keys()], [name]);
    const classes = (of: string, its: string) => [
      ...new Set(things.filter((each) => each.of === of && each.name === its).map(({ what }) => what)),
    ];
    assert.deepEqual(classes('preview', 'shop-1'), ['route file', 'host name']);
    assert.deepEqual(
      classes('instance', name).map((what) => what.replace(/^entry of /, '').replace(/ at .*/, '')),
      [
        '/var/lib/berth/instances',
        '/etc/nixos-containers',
        '/var/lib/nixos-containers',
        '/var/lib/berth-disks',
        '/nix/var/nix/profiles/per-container',
        '/nix/var/nix/gcroots/per-container',
        '/run/systemd/system',
        '/sys/class/net',
        'link in /nix/var/nix/gcroots/auto',
        'unit',
        'mount',
        'machine',
        'element of the rules',
        'answer',
      ],
    );
  });

  await t.test('the log of a stopped container', async () => {
    const lines: string[] = [];
    const journal = { verb: 'read-journal', name: name as never, tailLines: 100, follow: false } as const;
    host('systemctl', 'stop', `container@${name}`);
    await hostd.ask(journal, { signal: noAbort, onLine: (line) => void lines.push(line) });
    assert.ok(
      lines.some((line) => line.includes('app-web.service')),
      `${lines.length} lines`,
    );
    assert.match((await findings()).join('\n'), /^drift shop-1: start .*its processes|no processes/m);
    await preview('doctor', '--fix').catch(() => undefined);
    await shows(shop, 'version 1');
  });

  await t.test(
    'a container, a database, a role, a root of the garbage collector and an element that are nobody’s',
    async () => {
      mkdirSync('/var/lib/nixos-containers/p901/etc', { recursive: true });
      writeFileSync('/etc/nixos-containers/p902.conf', 'HOST_ADDRESS=10.100.7.12\n');
      writeFileSync('/var/lib/berth-disks/p905.ext4', '');
      truncateSync('/var/lib/berth-disks/p905.ext4', 64 * 1024 * 1024);
      mkdirSync('/nix/var/nix/gcroots/per-container/p903', { recursive: true });
      symlinkSync(system, '/nix/var/nix/gcroots/per-container/p903/system');
      host('nft', 'add element inet berth own_addresses { "ve-p904" . 10.100.7.17 : accept }');
      const mark = host(
        'psql',
        '-XAtU',
        'postgres',
        '-c',
        "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = 'preview_shop_1'",
      );
      // As the operator makes them, which is thereby their member.
      for (const role of ['preview_lost_1', 'preview_lost_2']) {
        host(
          'psql',
          '-XqU',
          'postgres',
          '-c',
          `create role ${role} login`,
          '-c',
          `comment on role ${role} is '${mark}'`,
          '-c',
          `grant ${role} to berth`,
        );
      }
      host('psql', '-XqU', 'postgres', '-c', 'create database preview_lost_1 owner preview_lost_1');

      const found = await findings();
      const nobodys = (what: string, about: string) => `orphan ${about}: ${what} that belongs to no preview`;
      for (const instance of ['p901', 'p902', 'p903', 'p904', 'p905'])
        assert.ok(found.includes(nobodys('an instance', instance)), `${instance}: ${found.join('\n')}`);
      for (const database of ['preview_lost_1', 'preview_lost_2'])
        assert.ok(found.includes(nobodys('a database', database)), database);

      await findings('--fix');
      assert.deepEqual(await findings(), [], 'all of it is gone');
      for (const path of [
        '/var/lib/nixos-containers/p901',
        '/etc/nixos-containers/p902.conf',
        '/var/lib/berth-disks/p905.ext4',
        '/nix/var/nix/gcroots/per-container/p903',
      ])
        assert.equal(existsSync(path), false, path);
      assert.doesNotMatch(host('nft', 'list', 'map', 'inet', 'berth', 'own_addresses'), /ve-p904/);
      assert.equal(
        host('psql', '-XAtU', 'postgres', '-c', "select count(*) from pg_roles where rolname like 'preview_lost%'"),
        '0',
      );
      await shows(shop, 'version 1');
    },
  );

  await t.test('a record without its container', async () => {
    const now = (await hostd.ask({ verb: 'list-answers' }))[0]?.name;
    await hostd.ask({ verb: 'remove-container', name: now as never });
    rmSync(`/var/lib/berth/instances/${now ?? ''}`, { recursive: true, force: true });
    assert.match((await findings()).join('\n'), /^drift shop-1: /m);
    await findings('--fix');
    await shows(shop, 'version 1');
  });

  await t.test(
    'route files by hand: foreign ones, a changed one, a host name that leads nowhere and one that is gone',
    async () => {
      const folder = '/etc/caddy/previews';
      const own = `${folder}/shop-1.caddy`;
      const written = readFileSync(own, 'utf8');
      writeFileSync(`${folder}/by-hand.caddy`, 'http://by-hand.preview.test {\nrespond "by hand"\n}\n');
      writeFileSync(`${folder}/by-hand.site`, 'respond /by-hand "by hand"\n');
      writeFileSync(own, written.replaceAll('keepalive off', 'keepalive 2s'));
      rmSync(`${folder}/hosts/shop-1`, { recursive: true });
      mkdirSync(`${folder}/hosts/nobody/10.101.0.9~0123456789abcdef`, { recursive: true });
      appendFileSync(`${folder}/previews.site`, 'respond /more "more"\n');
      host('chown', '-R', 'berth', folder);

      const foreign = (file: string) => `orphan ${file}: a route file that belongs to no preview`;
      const changed = (file: string) => `drift ${file}: a file of the routes is not as it was written`;
      const wrong = [
        ...['by-hand.caddy', 'by-hand.site', 'hosts/nobody'].map(foreign),
        ...['hosts/shop-1', 'previews.site', 'shop-1.caddy'].map(changed),
      ].toSorted();
      assert.deepEqual(await findings(), wrong);
      await findings('--fix');
      assert.deepEqual(await findings(), []);
      assert.equal(readFileSync(own, 'utf8'), written);
      assert.equal(existsSync(`${folder}/by-hand.caddy.refused`), true, 'it is kept');
      await shows(shop, 'version 1');
    },
  );

  await t.test('a route that was changed while the operator was away is made again from the record', async () => {
    const own = '/etc/caddy/previews/shop-1.caddy';
    stopOperator();
    writeFileSync(own, readFileSync(own, 'utf8').replaceAll('3000', '3001'));
    startOperator();
    await eventually(() => !readFileSync(own, 'utf8').includes('3001'), 'the port is the manifest’s again');
    await shows(shop, 'version 1');
    await eventually(async () => (await findings()).length === 0, 'all is as it should be');
  });

  await t.test('the last user of a closure releases it: only the folder of kept ones holds it', async () => {
    await pull.close();
    await eventually(async () => !(await preview('list', '--json')).includes('shop-1'), 'the preview is gone');
    const roots = host('nix-store', '--gc', '--print-roots')
      .split('\n')
      .filter((line) => line.includes(system));
    assert.deepEqual(
      roots.map((line) => line.split(' ')[0]?.replace(/[0-9a-f]{32}$/, 'KEY')),
      ['/var/lib/berth/closures/KEY'],
    );
  });
});
