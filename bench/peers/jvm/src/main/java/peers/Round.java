package peers;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongFunction;

/** One round: warm up, then calls with many in flight, then one call at a time. Tells its figures as one line of JSON. */
final class Round {
  private static final double[] SHARES = {
    0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999
  };
  private final long millis;
  private final AtomicLong next = new AtomicLong();

  Round(long millis) {
    this.millis = millis;
  }

  /** Calls that return when they are done. */
  void ofBlocking(int eventsPerCall, LongFunction<?> call) throws IOException {
    blockingFor(4 * millis, call);
    System.out.println("measured"); // the run looks at its server's CPU time
    long cpu = cpuNanos();
    long start = System.nanoTime();
    long count = blockingFor(millis, call);
    long took = System.nanoTime() - start;
    long used = cpuNanos() - cpu;
    System.out.println("loaded");
    tell(count * eventsPerCall, took, used, oneAtATime(call));
  }

  /** Calls that complete later, so many in flight. */
  void ofPending(int inFlight, LongFunction<CompletionStage<?>> call) throws Exception {
    pendingFor(4 * millis, inFlight, call); // on two cores the compiler takes its time
    System.out.println("measured"); // the run looks at its server's CPU time
    long cpu = cpuNanos();
    long start = System.nanoTime();
    long count = pendingFor(millis, inFlight, call);
    long took = System.nanoTime() - start;
    long used = cpuNanos() - cpu;
    System.out.println("loaded");
    LongFunction<Object> awaited =
        i -> {
          try {
            return call.apply(i).toCompletableFuture().get();
          } catch (Exception error) {
            throw new IllegalStateException(error);
          }
        };
    blockingFor(millis / 2, awaited);
    tell(count, took, used, oneAtATime(awaited));
  }

  private long blockingFor(long forMillis, LongFunction<?> call) {
    long end = System.nanoTime() + forMillis * 1_000_000;
    long count = 0;
    while (System.nanoTime() < end) {
      call.apply(next.getAndIncrement());
      count++;
    }
    return count;
  }

  private long pendingFor(long forMillis, int inFlight, LongFunction<CompletionStage<?>> call) throws Exception {
    long end = System.nanoTime() + forMillis * 1_000_000;
    AtomicLong count = new AtomicLong();
    CountDownLatch done = new CountDownLatch(inFlight);
    for (int i = 0; i < inFlight; i++) lane(end, call, count, done);
    done.await();
    return count.get();
  }

  private void lane(long end, LongFunction<CompletionStage<?>> call, AtomicLong count, CountDownLatch done) {
    if (System.nanoTime() >= end) {
      done.countDown();
      return;
    }
    call.apply(next.getAndIncrement())
        // In the thread that completes it: on two cores Pekko's own whenComplete starts a thread for each reply.
        .whenCompleteAsync(
            (reply, error) -> {
              if (error != null) {
                error.printStackTrace();
                System.exit(1);
              }
              count.incrementAndGet();
              lane(end, call, count, done);
            },
            Runnable::run);
  }

  private long[] oneAtATime(LongFunction<?> call) {
    long[] nanos = new long[5_000_000];
    int count = 0;
    long end = System.nanoTime() + millis * 1_000_000;
    for (long now = System.nanoTime(); now < end && count < nanos.length; ) {
      call.apply(next.getAndIncrement());
      long after = System.nanoTime();
      nanos[count++] = after - now;
      now = after;
    }
    long[] sorted = Arrays.copyOf(nanos, count);
    Arrays.sort(sorted);
    return sorted;
  }

  private static double at(long[] sorted, double share) {
    return sorted[(int) Math.min(sorted.length - 1, sorted.length * share)] / 1000.0;
  }

  private static long cpuNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  private static double mostResidentMiB() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmHWM:")) return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
    }
    return Double.NaN;
  }

  private static void tell(long events, long nanos, long cpuNanos, long[] latencies) throws IOException {
    StringBuilder points = new StringBuilder();
    for (double share : SHARES) {
      if (latencies.length * (1 - share) <= 0.99) continue;
      if (points.length() > 0) points.append(',');
      points.append(String.format(Locale.ROOT, "[%s,%.3f]", share, at(latencies, share)));
    }
    System.out.printf(
        Locale.ROOT,
        "{\"events\":%d,\"perSecond\":%.1f,\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"points\":[%s],\"cpuSeconds\":%.3f,\"memoryMiB\":%.1f}%n",
        events,
        events / (nanos / 1e9),
        at(latencies, 0.5),
        at(latencies, 0.99),
        at(latencies, 0.999),
        points,
        cpuNanos / 1e9,
        mostResidentMiB());
    System.out.flush();
  }
}
