// Stalls the log thread for 50 ms at every commit: `node --import bench/stall.ts`, which worker threads inherit.
import { LogWriter } from '../src/log/lmdb.ts';
import { hold } from './slow.ts';

const { append } = LogWriter.prototype;
LogWriter.prototype.append = function (...chunk) {
  hold(50);
  append.apply(this, chunk);
};
