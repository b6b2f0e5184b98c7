import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Counts words exactly once: BOOTSTRAP APPLICATION SOURCE TARGET STATE_FOLDER [SETTING=VALUE...]. Every
 * change of a count is written to the target, so that a word's values are 1, 2, 3 and so on, each once.
 * It runs until SIGTERM, and prints its states.
 */
public final class WordCount {
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private WordCount() { }

    public static void main(String[] arguments) throws Exception {
        KafkaStreams streams = new KafkaStreams(
                topology(arguments[2], arguments[3]).build(), settings(arguments));
        CountDownLatch failed = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            System.out.println("state\t" + now);
            if (now == KafkaStreams.State.ERROR) {
                failed.countDown();
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(PATIENCE);
            System.out.println("closed");
        }));
        streams.start();
        failed.await();
        System.exit(1);
    }

    private static Properties settings(String[] arguments) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("application.id", arguments[1]);
        settings.put("state.dir", arguments[4]);
        settings.put("processing.guarantee", "exactly_once_v2");
        // Without a cache every change is written, not only the last one before a commit.
        settings.put("statestore.cache.max.bytes", "0");
        settings.put("auto.offset.reset", "earliest");
        for (String setting : Arrays.asList(arguments).subList(5, arguments.length)) {
            String[] pair = setting.split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        return settings;
    }

    private static StreamsBuilder topology(String source, String target) {
        StreamsBuilder builder = new StreamsBuilder();
        Materialized<String, Long, KeyValueStore<Bytes, byte[]>> counts = Materialized.as("counts");
        builder.stream(source, Consumed.with(Serdes.String(), Serdes.String()))
                .flatMapValues(line -> words(line))
                .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
                .count(counts.withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
                .toStream()
                .mapValues(count -> count.toString())
                .to(target, Produced.with(Serdes.String(), Serdes.String()));
        return builder;
    }

    private static List<String> words(String line) {
        String[] words = line.toLowerCase(Locale.ROOT).split("[^a-z]+");
        return Arrays.stream(words).filter(word -> !word.isEmpty()).toList();
    }
}
