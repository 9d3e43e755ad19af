// Mappings of a user, none; but the thread that imports them, which publishes, takes it to be ten minutes later than it is.
const aheadMs = 600_000;
const { now } = Date;
Date.now = () => now() + aheadMs;

export default [];
