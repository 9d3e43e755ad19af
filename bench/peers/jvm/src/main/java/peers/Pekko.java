package peers;

import com.typesafe.config.ConfigFactory;
import java.time.Duration;
import java.util.concurrent.CompletionStage;
import org.apache.pekko.Done;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.Adapter;
import org.apache.pekko.actor.typed.javadsl.AskPattern;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.persistence.jdbc.testkit.javadsl.SchemaUtils;
import org.apache.pekko.persistence.typed.PersistenceId;
import org.apache.pekko.persistence.typed.javadsl.CommandHandler;
import org.apache.pekko.persistence.typed.javadsl.EventHandler;
import org.apache.pekko.persistence.typed.javadsl.EventSourcedBehavior;

/** Event-sourced actors of Pekko: a command raises one event, as JSON, and is answered when the journal has it. */
public final class Pekko {
  record Route(Payload data, ActorRef<Done> replyTo) {}

  static final class Probe extends EventSourcedBehavior<Route, Payload, Integer> {
    Probe(String id) {
      super(PersistenceId.ofUniqueId(id));
    }

    @Override
    public Integer emptyState() {
      return 0;
    }

    @Override
    public CommandHandler<Route, Payload, Integer> commandHandler() {
      return newCommandHandlerBuilder()
          .forAnyState()
          .onCommand(
              Route.class,
              (state, command) ->
                  Effect().persist(command.data()).thenReply(command.replyTo(), after -> Done.getInstance()))
          .build();
    }

    @Override
    public EventHandler<Integer, Payload> eventHandler() {
      return newEventHandlerBuilder().forAnyState().onEvent(Payload.class, (state, event) -> state + 1).build();
    }
  }

  /** Arguments: inmem | leveldb | leveldb-fsync | jdbc, milliseconds a phase, folder; PEERS_JDBC: the database. */
  public static void main(String[] arguments) throws Exception {
    String mode = arguments[0];
    boolean isJdbc = mode.equals("jdbc");
    String journal =
        isJdbc ? "jdbc-journal" : "pekko.persistence.journal." + (mode.equals("inmem") ? mode : "leveldb");
    String config =
        String.join(
            "\n",
            "pekko.loglevel = OFF",
            "pekko.stdout-loglevel = OFF",
            "pekko.persistence.journal.plugin = " + journal,
            "pekko.persistence.journal.inmem.test-serialization = on",
            "pekko.persistence.journal.leveldb.dir = \"" + arguments[2] + "\"",
            "pekko.persistence.journal.leveldb.native = on",
            "pekko.persistence.journal.leveldb.fsync = " + (mode.endsWith("fsync") ? "on" : "off"),
            isJdbc ? database(System.getenv("PEERS_JDBC")) : "",
            "pekko.actor.serialization-bindings { \"peers.Payload\" = jackson-json }");
    Behavior<Void> nothing = Behaviors.empty();
    ActorSystem<Void> system =
        ActorSystem.create(nothing, "peers", ConfigFactory.parseString(config).withFallback(ConfigFactory.load()).resolve());
    if (isJdbc) {
      SchemaUtils.createIfNotExists(Adapter.toClassic(system)).toCompletableFuture().get();
    }
    @SuppressWarnings("unchecked")
    ActorRef<Route>[] probes = new ActorRef[256];
    for (int i = 0; i < probes.length; i++) {
      probes[i] = system.systemActorOf(new Probe("p" + System.nanoTime() + "-" + i), "p" + i, org.apache.pekko.actor.typed.Props.empty());
    }
    Duration patience = Duration.ofSeconds(60);
    new Round(Long.parseLong(arguments[1]))
        .ofPending(
            1024,
            i -> {
              CompletionStage<Done> reply =
                  AskPattern.ask(
                      probes[(int) (i & 255)],
                      (ActorRef<Done> replyTo) -> new Route(Payload.of(i), replyTo),
                      patience,
                      system.scheduler());
              return reply;
            });
    Runtime.getRuntime().halt(0);
  }

  private static String database(String url) {
    return String.join(
        "\n",
        "jdbc-journal.slick {",
        "  profile = \"slick.jdbc.PostgresProfile$\"",
        "  db { url = \"" + url + "\", driver = org.postgresql.Driver, numThreads = 20, maxConnections = 20 }",
        "}",
        "jdbc-snapshot-store.slick = ${jdbc-journal.slick}");
  }
}
