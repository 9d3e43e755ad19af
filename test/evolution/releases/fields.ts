// Fields that several releases have: as narrow as what is meant, or samples of a schema are what no upcaster can read.
import { z } from 'zod';

/** An amount with two places. */
export const decimal = z.string().regex(/^\d{1,9}\.\d\d$/);
/** A time up to the year 9999. */
export const milliseconds = z.int().min(0).max(253_402_300_799_999);
