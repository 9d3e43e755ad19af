package peers;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import net.openhft.chronicle.bytes.SyncMode;
import net.openhft.chronicle.queue.ChronicleQueue;
import net.openhft.chronicle.queue.ExcerptAppender;
import net.openhft.chronicle.queue.impl.single.SingleChronicleQueueBuilder;

/** Appends to a Chronicle Queue: the payload as JSON, into a memory-mapped file. */
public final class Chronicle {
  /** Arguments: append | sync-100, milliseconds a phase, folder. */
  public static void main(String[] arguments) throws Exception {
    boolean syncs = arguments[0].equals("sync-100");
    ObjectMapper mapper = new ObjectMapper();
    // Its default is MS_ASYNC, which survives a kill only: without this, sync() would promise more than it does.
    SyncMode mode = syncs ? SyncMode.SYNC : SyncMode.NONE;
    try (ChronicleQueue queue = SingleChronicleQueueBuilder.single(arguments[2]).syncMode(mode).build();
        ExcerptAppender appender = queue.createAppender()) {
      int perCall = syncs ? 100 : 1;
      new Round(Long.parseLong(arguments[1]))
          .ofBlocking(
              perCall,
              i -> {
                for (int j = 0; j < perCall; j++) appender.writeText(json(mapper, i));
                if (syncs) appender.sync();
                return null;
              });
    }
    Runtime.getRuntime().halt(0);
  }

  private static String json(ObjectMapper mapper, long i) {
    try {
      return mapper.writeValueAsString(Payload.of(i));
    } catch (JsonProcessingException error) {
      throw new IllegalStateException(error);
    }
  }
}
