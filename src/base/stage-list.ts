// Stages that start one after the other. Each of them gets what those before it have made, and adds what it makes. Read from
// top to bottom, a list is the order of a start. Any thread.
//
// Invariant: a stage can name only what an earlier stage has made: the compiler holds it, since the list's type grows with it.

export interface Stage {
  readonly name: string;
  /** Resolves with what it adds. It gets all that has been made so far. */
  start(made: never): object | Promise<object>;
}

/** `Made`: what there is once all stages have started. */
export class StageList<Given extends object, Made extends object> {
  readonly stages: readonly Stage[];

  private constructor(stages: readonly Stage[]) {
    this.stages = stages;
  }

  /** No stage yet. */
  static of<Given extends object>(): StageList<Given, Given> {
    return new StageList([]);
  }

  /** The same list with one more stage at its end. */
  next<More extends object>(name: string, start: (made: Made) => More | Promise<More>): StageList<Given, Made & More> {
    return new StageList([...this.stages, { name, start }]);
  }

  /** Start all of them. The first that fails ends it: what was opened until then is for the dispatcher to close. */
  async start(given: Given): Promise<Made> {
    let made: object = given;
    for (const stage of this.stages) made = { ...made, ...(await stage.start(made as never)) };
    return made as Made;
  }
}
