import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkedRouteFile } from '../../../../webhook/adapters/caddy/route-files.ts';
import { routeFileText, siteText } from '../../../../webhook/adapters/caddy/site.ts';

const settings = { domain: 'preview.test', scheme: 'https' } as const;
const whole = [{ path: '/', port: 3000, stripPrefix: false }];
const file = (slug: string, routes: object[] = whole, address = '10.101.0.3') =>
  checkedRouteFile({ slug, address, hosts: [{ label: slug, routes }] });

test('a preview’s file: a comment to read it back from, and a line of the map as a snippet', () => {
  assert.equal(
    routeFileText(settings, file('shop-1')),
    `# Made by Berth. Changes are overwritten.
# {"slug":"shop-1","address":"10.101.0.3","hosts":[{"label":"shop-1","routes":[{"path":"/","port":3000,"stripPrefix":false}]}]}
(berth-shop-1) {
\tshop-1.preview.test 10.101.0.3
}
`,
  );
});

test('the site: the longest path first, a prefix stripped below it, `/` last and without a matcher', () => {
  const routes = [
    { path: '/', port: 3000, stripPrefix: false },
    { path: '/api/*', port: 4000, stripPrefix: true },
    { path: '/api/health', port: 3000, stripPrefix: false },
  ];
  const text = siteText(settings, [file('shop-1', routes)]);
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
  assert.match(text, /^https:\/\/shop-1\.preview\.test \{$/m);
  assert.match(text, /reverse_proxy \{berth_address\}:4000/);
});

test('previews with the same routes share groups that Caddy searches by halving', () => {
  const many = Array.from({ length: 600 }, (_, index) =>
    file(`shop-${index + 1}`, whole, `10.101.${index >> 8}.${index & 255}`),
  );
  const text = siteText(settings, [...many, file('other-1', [{ path: '/', port: 8080, stripPrefix: false }])]);
  const groups = text
    .split('\n')
    .filter((line) => /^@g\d+_\d+ host /.test(line))
    .map((line) => line.split(' ').length - 2);
  assert.deepEqual(
    groups.toSorted((a, b) => a - b),
    [1, 200, 200, 200],
  );
  assert.equal(text.split('reverse_proxy').length - 1, 4);
  assert.equal(siteText(settings, []), '');
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
  for (const value of bad)
    assert.throws(() => checkedRouteFile(value), { code: 'ROUTE_REFUSED' }, JSON.stringify(value));
});
