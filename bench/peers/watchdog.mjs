// Ends a process when whoever started this one is gone. Argument: its id.
process.stdin.resume().on('end', () => {
  try {
    process.kill(Number(process.argv[2]), 'SIGTERM');
  } catch {
    // it has ended already
  }
});
