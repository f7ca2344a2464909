/**
 * Deliberate bugs. Each is one small change of the real source; the simulator must find every one of them, or it proves nothing. The changed
 * text has to occur exactly once, so a mutation cannot silently stop to apply.
 */
export interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'skip the supersede check',
    file: 'webhook/reconcile/supersede.ts',
    find: "          superseded.abort(new OperatorError('SUPERSEDED', 'Something newer is wanted.'));\n",
    replace: '',
  },
  {
    name: 'write the status before the effect',
    file: 'webhook/reconcile/tear-down.ts',
    find: '  await op.runtime.remove(name);\n  await op.store.removeInstance(work.lock, name);',
    replace:
      '  await op.store.removeInstance(work.lock, name);\n  void op.runtime.remove(name).catch(() => undefined);',
  },
  {
    name: 'forget the route on close',
    file: 'webhook/reconcile/tear-down.ts',
    find: 'if (work.record.slug !== null) await op.routes.remove(work.record.slug);',
    replace: '',
  },
  {
    name: 'reuse a slot that is in use',
    file: 'webhook/core/slots.ts',
    find: 'if (!inUse.has(slot)) return { slot, counter: (slot % pool.slotMax) + 1 };',
    replace: 'return { slot: ((slot - 1) % 3) + 1, counter: (slot % pool.slotMax) + 1 };',
  },
  {
    name: 'trust what was said at first instead of asking GitHub',
    file: 'webhook/reconcile/observe.ts',
    find: 'return { desired: desiredFrom(op.policy, record, observed), problem };',
    replace:
      "if (record.wanted?.presence === 'present' && observed?.state === 'open') observed = { ...observed, revision: record.wanted.revision };\n  return { desired: desiredFrom(op.policy, record, observed), problem };",
  },
  {
    name: 'destroy on 404',
    file: 'webhook/core/policy.ts',
    find: "    return hold?.kind === 'destroyed' ? { kind: 'absent', reason: 'destroyed-by-operator' } : { kind: 'unknown' };",
    replace: "    return { kind: 'absent', reason: 'closed' };",
  },
  {
    name: 'keep an operator’s word for good',
    file: 'webhook/reconcile/conclude.ts',
    find: 'if (hold !== null && isHoldOver(hold, desired)) await op.store.liftHold(lock, hold);',
    replace: 'void [op, lock, hold, isHoldOver, desired];',
  },
  {
    name: 'drop a retry',
    file: 'webhook/reconcile/conclude.ts',
    find: 'if (failure.nextAttemptAt !== null) await op.jobs.enqueueReconcile(lock.key, failure.nextAttemptAt);',
    replace: '',
  },
  {
    name: 'answer 202 before the commit',
    file: 'webhook/http/webhook-route.ts',
    find: 'const acceptance = await options.intake.accept(deliveryId, event);',
    replace:
      "const acceptance = 'accepted' as const;\n  void options.intake.accept(deliveryId, event).catch(() => undefined);",
  },
  {
    name: 'run the code of strangers',
    file: 'webhook/core/policy.ts',
    find: "if (observed.headRepositoryId !== key.repositoryId) return 'fork';",
    replace: '',
  },
  {
    name: 'begin a setup again on what an earlier one left',
    file: 'webhook/reconcile/bring-up.ts',
    find: '      op.store.saveInstance(work.lock, name, { sourcePlacedAt: null }),\n',
    replace: '',
  },
  {
    name: 'make the record of a switch before the switch',
    file: 'webhook/reconcile/bring-up.ts',
    find: '  await op.routes.ensure(routeOf(op, slug, instance, manifest));\n',
    replace: '',
  },
];
