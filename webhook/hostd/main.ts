/**
 * hostd: the part of Berth that is root. It offers the verbs of core/host-verbs.ts on a unix socket to the operator's group, and nothing else
 * to anybody: no network, no HTTP, no path from outside, and no command but one inside a container.
 */
import type { HostRequest } from '../core/host-verbs.ts';
import {
  createContainer,
  listContainers,
  observeContainer,
  openFiles,
  prepareContainer,
  removeContainer,
  startContainer,
  stopContainer,
  type ContainerHost,
} from './containers.ts';
import { adaptCaddyfile, loadRoutes } from './caddy.ts';
import { measureDisks } from './disk.ts';
import { evaluateConfig } from './evaluation.ts';
import { runInside } from './command.ts';
import { readJournal, startUnit } from './guest.ts';
import { openNetwork, type Network } from './network.ts';
import { serve, type Caller } from './server.ts';
import { settingsFrom } from './settings.ts';

type Host = ContainerHost & { readonly network: Network };

const settings = settingsFrom(process.argv.slice(2));
const network = await openNetwork(settings);
const host: Host = { settings, network, prepared: new Map(), seen: new Map() };
const inTurn = turnPerName();
const inTurnOfEvaluations = turnPerName();

const server = await serve(settings, (request, caller) =>
  // Reading needs no turn: a journal may be followed for days.
  'name' in request && changing.has(request.verb)
    ? inTurn(request.name, () => perform(host, request, caller))
    : perform(host, request, caller),
);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    network.close();
    server.close();
    process.exit(0);
  });
}
console.log(`hostd answers on ${settings.socket}`);

async function perform(host: Host, request: HostRequest, caller: Caller): Promise<unknown> {
  const { signal } = caller;
  switch (request.verb) {
    case 'list-containers':
      return listContainers(host, await host.network.admitted());
    case 'observe-container':
      return observeContainer(host, request.name, request.units === true);
    case 'prepare-container':
      return prepareContainer(host, request);
    case 'create-container':
      return createContainer(host, request);
    case 'evaluate-config':
      // One at a time: each may take gigabytes.
      return inTurnOfEvaluations('', () => evaluateConfig(host.settings.evaluation, request.config, signal));
    case 'start-container':
      // Before the link exists: there is no moment in which the guest could send a packet without rules.
      await host.network.admit(request.name);
      return startContainer(host, request.name, signal);
    case 'stop-container':
      return stopContainer(host, request.name);
    case 'remove-container':
      await removeContainer(host, request.name);
      return host.network.forget(request.name);
    case 'start-unit':
      return startUnit(host.settings, request, signal);
    case 'read-journal':
      return readJournal(host.settings, request, {
        ...caller,
        // In turn, so that no removal comes between.
        openFiles: () => inTurn(request.name, () => openFiles(host.settings, request.name)),
      });
    case 'run-inside':
      return runInside(request, caller);
    case 'switch-answers':
      return host.network.switchAnswers(request.address, request.to);
    case 'list-answers':
      return host.network.answers();
    case 'count-connections':
      return host.network.connections(request.name);
    case 'measure-disks':
      return measureDisks();
    case 'adapt-caddyfile':
      return adaptCaddyfile(host.settings, request.text);
    case 'load-routes':
      return loadRoutes(host.settings);
  }
}

/** Verbs that change a container: one at a time for each (contract, trap 8). */
const changing: ReadonlySet<string> = new Set([
  'prepare-container',
  'create-container',
  'start-container',
  'stop-container',
  'remove-container',
]);

function turnPerName(): <T>(name: string, work: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>();
  return (name, work) => {
    const turn = (last.get(name) ?? Promise.resolve()).then(work, work);
    const settled = turn
      .catch(() => undefined)
      .finally(() => {
        if (last.get(name) === settled) last.delete(name);
      });
    last.set(name, settled);
    return turn;
  };
}
