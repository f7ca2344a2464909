/** Store and queue of one operator process over the simulated state. */
import { isDeepStrictEqual } from 'node:util';
import { OperatorError } from '../../webhook/core/errors.ts';
import { keyText, type PreviewKey } from '../../webhook/core/pull-request.ts';
import type { JobQueue, PreviewLock, PreviewStore } from '../../webhook/ports.ts';
import type { SimulatedProcess } from './faults.ts';
import type { Shared } from './shared-world.ts';

export function simulatedStore({ state, faults }: Shared, process: SimulatedProcess): PreviewStore {
  const held = (lock: PreviewLock): PreviewKey => {
    if (state.locks.get(keyText(lock.key))?.lock !== lock) throw new OperatorError('INTERNAL', 'The lock is not held.');
    return lock.key;
  };
  return {
    lock: (key) =>
      faults.read(process, () => {
        const text = keyText(key);
        if (state.locks.has(text)) return null;
        const lock: PreviewLock = {
          key,
          async [Symbol.asyncDispose]() {
            if (process.alive && state.locks.get(text)?.lock === lock) state.locks.delete(text);
          },
        };
        state.locks.set(text, { lock, process: process.id });
        return lock;
      }),
    lockName: (name) => faults.read(process, () => state.lockName(name, process.id)),
    load: (key) => faults.read(process, () => copyOf(state.previews.get(keyText(key)))),
    loadBySlug: (slug) =>
      faults.read(process, () => copyOf([...state.previews.values()].find((row) => row.slug === slug))),
    list: () => faults.read(process, () => [...state.previews.values()].map((row) => ({ ...row }))),
    generation: (key) => faults.read(process, () => state.previews.get(keyText(key))?.generation ?? 0),
    request: (key, repository, options = {}) =>
      faults.effect(process, 'store.request', () => state.request(key, repository, options)),
    liftHold: (lock, hold) =>
      faults.effect(process, 'store.liftHold', () => {
        const row = state.row(held(lock));
        if (isDeepStrictEqual(row.hold, hold)) row.hold = null;
      }),
    saveWanted: (lock, wanted, repository) =>
      faults.effect(process, 'store.saveWanted', () => {
        Object.assign(state.row(held(lock)), { wanted, repository });
      }),
    saveDoing: (lock, step) =>
      faults.effect(process, 'store.saveDoing', () => {
        state.row(held(lock)).doing = step === null ? null : { step, since: new Date(0) };
      }),
    saveFailure: (lock, failure, givenUp) =>
      faults.effect(process, 'store.saveFailure', () => {
        state.row(held(lock)).failure = failure;
        if (givenUp !== undefined && failure !== null) state.saveInstance(lock.key, givenUp, { failedAt: failure.at });
      }),
    saveConcluded: (lock, generation) =>
      faults.effect(process, 'store.saveConcluded', () => {
        state.row(held(lock)).concludedGeneration = generation;
      }),
    claimSlug: (lock, candidates) =>
      faults.effect(process, 'store.claimSlug', async () => {
        await state.untilNameIsFree(held(lock), candidates);
        return state.claimSlug(held(lock), candidates);
      }),
    claimHosts: (lock, labels) =>
      faults.effect(process, 'store.claimHosts', () => state.claimHosts(held(lock), labels)),
    createInstance: (lock, revision) =>
      faults.effect(process, 'store.createInstance', () => state.createInstance(held(lock), revision)),
    saveInstance: (lock, name, facts) =>
      faults.effect(process, 'store.saveInstance', () => state.saveInstance(held(lock), name, facts)),
    saveSwitch: (lock, name, at) =>
      faults.effect(process, 'store.saveSwitch', () => state.saveSwitch(held(lock), name, at)),
    removeInstance: (lock, name) =>
      faults.effect(process, 'store.removeInstance', () => state.removeInstance(held(lock), name)),
    saveDatabase: (lock, database) =>
      faults.effect(process, 'store.saveDatabase', () => {
        state.row(held(lock)).database = database;
      }),
    forget: (lock, generation) => faults.effect(process, 'store.forget', () => state.forget(held(lock), generation)),
    loadReport: (key) => faults.read(process, () => state.reports.get(keyText(key)) ?? null),
    saveReport: (report) =>
      faults.effect(process, 'store.saveReport', () => {
        state.saveReport(report);
      }),
    askForCommentLooks: (max) =>
      faults.effect(process, 'store.askForCommentLooks', () => state.askForCommentLooks(max)),
  };
}

function copyOf<T extends object>(row: T | undefined): T | null {
  return row === undefined ? null : { ...row };
}

export function simulatedJobs({ state, faults, clock }: Shared, process: SimulatedProcess): JobQueue {
  const at = (runAt?: Date) => (runAt ?? clock.now()).getTime();
  return {
    enqueueReconcile: (key, runAt) =>
      faults.effect(process, 'jobs.enqueueReconcile', () => state.addJob('reconcile', key, at(runAt))),
    enqueueReport: (key, runAt) =>
      faults.effect(process, 'jobs.enqueueReport', () => state.addJob('report', key, at(runAt))),
    enqueueSweep: (runAt) => faults.effect(process, 'jobs.enqueueSweep', () => state.addJob('sweep', null, at(runAt))),
  };
}
