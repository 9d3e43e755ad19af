// How many of the last commands have failed: a rehearsal of a release that fails on everything is of no use.

const length = 100;

export class RecentErrors {
  readonly length: number = length;
  count = 0;
  private readonly most: number;
  private readonly recent: boolean[] = [];

  /** `share`: of the last 100, 0 to 1. */
  constructor(share: number) {
    this.most = share * length;
  }

  /** Whether there are too many; never before there have been 100. */
  add(isError: boolean): boolean {
    this.recent.push(isError);
    if (isError) this.count++;
    if (this.recent.length > length && this.recent.shift()) this.count--;
    return this.recent.length === length && this.count > this.most;
  }
}
