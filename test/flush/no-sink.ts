export const createSink = (): unknown => ({ open: () => 0 });
