import { jobWorkerContract } from '../../../contracts/job-worker.contract.ts';
import { openTestState } from '../../../support/test-state.ts';
import { waitUntil } from '../../../support/wait-until.ts';

jobWorkerContract('graphile-worker on PostgreSQL', async () => {
  const state = await openTestState();
  return {
    jobs: state.jobs,
    now: () => new Date(),
    async start(handlers, limits) {
      await state.worker.start(handlers, limits);
    },
    until: (what, isSo) => waitUntil(what, isSo),
    [Symbol.asyncDispose]: () => state[Symbol.asyncDispose](),
  };
});
