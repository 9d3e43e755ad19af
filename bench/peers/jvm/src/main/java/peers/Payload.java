package peers;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;

/** The payload that every benchmark raises: 180 bytes of JSON, the same as bench/payload.ts. */
public record Payload(
    @JsonProperty("callId") String callId,
    @JsonProperty("from") String from,
    @JsonProperty("to") String to,
    @JsonProperty("trunk") String trunk,
    @JsonProperty("rate") String rate,
    @JsonProperty("currency") String currency,
    @JsonProperty("attempts") int attempts,
    @JsonProperty("codecs") List<String> codecs,
    @JsonProperty("at") long at) {

  @JsonCreator
  public Payload {}

  static Payload of(long n) {
    return new Payload(
        "c-" + (1_000_000_000L + n),
        "+4930123456789",
        "+4989123456789",
        "trunk-07",
        "0.0123",
        "EUR",
        2,
        List.of("PCMU", "PCMA"),
        1_737_000_000_000L);
  }
}
