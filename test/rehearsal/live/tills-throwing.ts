// A release to come that cannot be loaded.
throw new Error('boom');
