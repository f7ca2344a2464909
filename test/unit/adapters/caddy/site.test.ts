import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkedRouteFile } from '../../../../webhook/adapters/caddy/route-files.ts';
import {
  kindName,
  lookupName,
  lookupPatterns,
  routeFileText,
  siteText,
} from '../../../../webhook/adapters/caddy/site.ts';
import { wholePool } from '../../../../webhook/config/checks.ts';

const settings = {
  domain: 'preview.test',
  scheme: 'https',
  directory: '/etc/caddy/previews',
  previewPool: wholePool('10.101.0.0/16'),
} as const;
const whole = [{ path: '/', port: 3000, stripPrefix: false }];
const file = (slug: string, routes: object[] = whole, more: object = {}) =>
  checkedRouteFile({ slug, address: '10.101.0.3', hosts: [{ label: slug, routes }], ...more });

test('a preview’s file: a comment to read it back from, and its site as acceptance 5.7 has it', () => {
  assert.equal(
    routeFileText(settings, file('shop-1')),
    `# Made by Berth. Changes are overwritten.
# {"slug":"shop-1","address":"10.101.0.3","hosts":[{"label":"shop-1","routes":[{"path":"/","port":3000,"stripPrefix":false}]}],"basicAuth":null}
https://shop-1.preview.test {
import cloudflare_tls
handle {
reverse_proxy 10.101.0.3:3000 {
transport http {
keepalive off
}
}
}
}
`,
  );
});

test('the longest path first, a prefix stripped below it, `/` last and without a matcher', () => {
  const routes = [
    { path: '/', port: 3000, stripPrefix: false },
    { path: '/api/*', port: 4000, stripPrefix: true },
    { path: '/api/health', port: 3000, stripPrefix: false },
  ];
  for (const text of [
    routeFileText(settings, file('shop-1', routes)),
    siteText(settings, [{ routes, basicAuth: null }]).split('@known')[2] ?? '',
  ]) {
    const order = ['handle /api/health {', 'redir /api /api/', 'handle_path /api/* {', 'handle {'].map((part) =>
      text.indexOf(part),
    );
    assert.ok(
      order.every((at) => at > 0),
      text,
    );
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
      text,
    );
  }
});

test('the site knows kinds, not previews: the same routes and the same password are one block', () => {
  const kind = { routes: whole, basicAuth: null };
  const withPassword = { routes: whole, basicAuth: { user: 'review', hash: `$2a$14$${'x'.repeat(53)}` } };
  const text = siteText(settings, [kind, withPassword]);
  assert.equal(text.split('reverse_proxy {re.found.1}:3000').length - 1, 2);
  assert.match(text, /basicauth \{\nreview \$2a\$14\$x+\n\}/);
  assert.notEqual(kindName(kind), kindName(withPassword));
  const host = file('shop-1').hosts[0] ?? assert.fail();
  assert.equal(lookupName(file('shop-1'), host), `10.101.0.3~${kindName(kind)}`);
  assert.equal(lookupName(file('shop-2'), host), `10.101.0.3~${kindName(kind)}`);
});

test('a host name is looked up only if it is a label below the domain, and only an address of previews is found', () => {
  const [label, found] = lookupPatterns(settings).map((pattern) => new RegExp(pattern));
  assert.ok(label && found);
  for (const name of ['shop-1', 'a', '9']) assert.match(`${name}.preview.test`, label);
  for (const name of [
    '*',
    '..',
    '.',
    '',
    'a/b',
    'a.b',
    '[a]',
    'a\\',
    'a*',
    '-a',
    'a-',
    '.shop-1',
    '{env.HOME}',
    'a%2fb',
    'A',
  ])
    assert.doesNotMatch(`${name}.preview.test`, label, name);
  assert.doesNotMatch('shop-1.previewxtest', label);
  assert.doesNotMatch('shop-1.preview.test.evil.test', label);
  const kind = kindName({ routes: whole, basicAuth: null });
  assert.match(`/shop-1/10.101.0.3~${kind}`, found);
  for (const path of [
    `/shop-1/127.0.0.1~${kind}`,
    `/shop-1/10.100.0.3~${kind}`,
    `/shop-1/10.101.0.3`,
    `/shop-1/10.101.0.3:22~${kind}`,
    `/shop-1/x/10.101.0.3~${kind}`,
    `/shop-1/evil.test~${kind}`,
  ])
    assert.doesNotMatch(path, found, path);
});

test('nothing reaches the text that has not passed the check', () => {
  const bad = [
    { slug: 'shop-1', address: '10.101.0.3', hosts: [{ label: 'evil', routes: whole }] },
    { slug: 'shop-1', address: '10.101.0.3 {', hosts: [{ label: 'shop-1', routes: whole }] },
    {
      slug: 'shop-1',
      address: '10.101.0.3',
      hosts: [{ label: 'shop-1', routes: [{ path: '/a {', port: 1, stripPrefix: false }] }],
    },
    {
      slug: 'shop-1',
      address: '10.101.0.3',
      hosts: [{ label: 'shop-1', routes: [{ path: '/', port: '3000 x', stripPrefix: false }] }],
    },
    { slug: 'shop-1', address: '10.101.0.3', hosts: [{ label: 'shop-1', routes: [...whole, ...whole] }] },
    { slug: 'a_b', address: '10.101.0.3', hosts: [{ label: 'a_b', routes: whole }] },
  ];
  const user = { user: 'a b', hash: `$2a$14$${'x'.repeat(53)}` };
  const hash = { user: 'a', hash: '$2a$14$x\n}' };
  for (const basicAuth of [user, hash]) bad.push({ ...file('shop-1'), basicAuth } as never);
  for (const value of bad)
    assert.throws(() => checkedRouteFile(value), { code: 'ROUTE_REFUSED' }, JSON.stringify(value));
});
