// The stream's mappings, as `integration` of kafka() names them.
import { type Integration, integration } from 'trunkline/kafka';
import { order } from './config.ts';

const mappings: Integration[] = [integration(order, { Placed: () => undefined, Paid: () => undefined })];
export default mappings;
