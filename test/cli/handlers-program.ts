// The command line, from its source.
import '../../src/cli/main.ts';
