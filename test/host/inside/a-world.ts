/**
 * The internet, a LAN and a cloud's metadata service beyond the host's uplink, in a network namespace of the test host: one machine that answers
 * on every address and port it is asked at, so that whatever gets through the rules gets an answer.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { host } from './a-host-runtime.ts';

export const internet = '203.0.113.10';
export const elsewhere = [
  '169.254.169.254',
  '192.168.1.10',
  '172.16.5.5',
  '100.64.0.9',
  '10.200.0.5',
  '192.0.0.8',
  '198.18.0.1',
  '240.0.0.1',
];
/** Ports on which the world listens. */
export const worldPorts = [22, 25, 53, 80, 443, 3000, 5432, 8080];

const listenEverywhere = `
const net = require('node:net');
let waiting = ${worldPorts.length};
for (const port of ${JSON.stringify(worldPorts)}) {
  net.createServer((socket) => socket.end('HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\nConnection: close\\r\\n\\r\\nworld').on('error', () => {}))
    .listen(port, '0.0.0.0', () => { waiting -= 1; if (waiting === 0) console.log('up'); });
}
`;

/** The host's own resolver, as far as a rule can tell: something that answers on port 53 of its address, by UDP and TCP. */
const resolve = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (message, from) => socket.send('name', from.port, from.address));
socket.bind(53, '10.100.0.1');
require('node:net').createServer((connection) => connection.end()).listen(53, '10.100.0.1', () => console.log('up'));
`;

/** Lays the world out and makes the uplink of the rules the link to it. Call before hostd starts. */
export async function openWorld(): Promise<ChildProcess[]> {
  const sh = (line: string) => host('/bin/sh', '-ec', line);
  sh(`
    ip netns add world
    ip link add up0 type veth peer name wan netns world
    ip address add 198.51.100.1/24 dev up0
    ip link set up0 up
    ip -n world link set lo up
    ip -n world address add 198.51.100.2/24 dev wan
    ip -n world link set wan up
    ip -n world route add default via 198.51.100.1
    for a in ${[internet, ...elsewhere].join(' ')}; do
      ip -n world address add $a/32 dev lo
      ip route add $a/32 via 198.51.100.2
    done
    sysctl -qw net.ipv4.ip_forward=1
    nft add table ip outside
    nft add chain ip outside post '{ type nat hook postrouting priority srcnat; }'
    nft add rule ip outside post oifname up0 masquerade
  `);
  const rules = '/etc/berth/tenants.nft';
  writeFileSync(rules, readFileSync(rules, 'utf8').replace('define uplink = "host0"', 'define uplink = "up0"'));
  // Processes of their own: the tests wait for programs without letting this one answer anybody.
  const commands = [
    ['ip', 'netns', 'exec', 'world', 'node', '-e', listenEverywhere],
    ['node', '-e', resolve],
  ];
  const processes = commands.map(([program = '', ...words]) =>
    spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  await Promise.all(processes.map((each) => once(each.stdout, 'data')));
  return processes;
}

/**
 * Runs inside a container. Targets are `[address, first port, last port]`; prints every port from which anything came back: a connection, or a
 * refusal. What a rule drops gives neither.
 */
export const probe = `
const net = require('node:net');
const dgram = require('node:dgram');
const { tcp = [], udp = [], from } = JSON.parse(process.argv[2]);
const waitMs = 400;
const reached = [];
const attempts = [];
for (const [address, first, last] of tcp) for (let port = first; port <= last; port += 1) attempts.push([address, port]);
let next = 0;
async function worker() {
  while (next < attempts.length) {
    const [address, port] = attempts[next++];
    await new Promise((done) => {
      const socket = net.connect({ host: address, port, localAddress: from });
      const timer = setTimeout(() => { socket.destroy(); done(); }, waitMs);
      const settle = (what) => { clearTimeout(timer); if (what) reached.push(address + ':' + port + ' ' + what); socket.destroy(); done(); };
      socket.on('connect', () => settle('open'));
      socket.on('error', (error) => settle(['ECONNREFUSED', 'ECONNRESET'].includes(error.code) ? error.code : error.code === 'EADDRNOTAVAIL' ? 'no-address' : null));
    });
  }
}
async function datagrams() {
  for (const [address, first, last] of udp) {
    await Promise.all(Array.from({ length: last - first + 1 }, (_, i) => new Promise((done) => {
      const socket = dgram.createSocket('udp4');
      const settle = (what) => { reached.push(address + ':' + (first + i) + '/udp ' + what); };
      socket.on('message', () => settle('answer'));
      socket.on('error', (error) => { if (error.code === 'ECONNREFUSED') settle('refused'); });
      socket.connect(first + i, address, () => { socket.send('hello'); setTimeout(() => { try { socket.send('again', () => {}); } catch { /* It was refused, and told so above. */ } }, 100); });
      setTimeout(() => { socket.close(); done(); }, waitMs);
    })));
  }
}
datagrams().then(() => Promise.all(Array.from({ length: 6000 }, worker))).then(() => console.log(JSON.stringify({ tried: attempts.length, reached })));
`;
