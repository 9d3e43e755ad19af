// Coupons mean nothing any more.
import { defineAggregate } from '../../../src/index.ts';
import { Order as Before, service as serviceBefore } from './r07.ts';
import type { Service } from './service.ts';

const { name, ...before } = Before;
const { CouponUsed: _, ...events } = before.events;
const { CouponUsed: __, ...evolve } = before.evolve;
const { redeem: ___, ...commands } = before.commands as Record<string, any>;

export const Order = defineAggregate(name, {
  ...before,
  module: import.meta.url,
  events,
  retired: ['CouponUsed'],
  evolve,
  commands,
});

export const service: Service = { ...serviceBefore, versions: { OrderPlaced: 4 } };
