import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What ../../python/transactional_writer.py is, with the Java client, which speaks the second protocol of
 * transactions: BOOTSTRAP ID NAME HISTORY-FILE PARTITION,... SEED. Run from source, as its neighbour.
 */
public final class TransactionWriter {
    private static final int WRITES_MAX = 5;

    private record Write(TopicPartition partition, String value) {}

    private final Map<String, Object> options;
    private final String name;
    private final Writer file;
    private final List<TopicPartition> partitions;
    private final Random chance;
    private volatile boolean isStopping;
    private int number;

    private TransactionWriter(String[] arguments) throws IOException {
        options = Map.of(
                "bootstrap.servers", arguments[0],
                "transactional.id", arguments[1],
                "transaction.timeout.ms", 30_000,
                "max.block.ms", 10_000,
                "request.timeout.ms", 5_000,
                "delivery.timeout.ms", 20_000,
                "reconnect.backoff.max.ms", 200,
                "linger.ms", 1);
        name = arguments[2];
        file = Files.newBufferedWriter(
                Path.of(arguments[3]), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        partitions = new ArrayList<>();
        for (String partition : arguments[4].split(",")) {
            int dash = partition.lastIndexOf('-');
            partitions.add(new TopicPartition(
                    partition.substring(0, dash), Integer.parseInt(partition.substring(dash + 1))));
        }
        chance = new Random(Long.parseLong(arguments[5]));
    }

    public static void main(String[] arguments) throws Exception {
        TransactionWriter writer = new TransactionWriter(arguments);
        Thread waiting = new Thread(() -> {
            try {
                System.in.readAllBytes();
            } catch (IOException ended) {
                // So it has ended.
            }
            writer.isStopping = true;
        });
        waiting.setDaemon(true);
        waiting.start();
        try {
            writer.run();
        } catch (Throwable failed) {
            failed.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
        Runtime.getRuntime().halt(0);
    }

    private void run() throws Exception {
        while (!isStopping) {
            KafkaProducer<String, String> producer =
                    new KafkaProducer<>(options, new StringSerializer(), new StringSerializer());
            try {
                againAndAgain(producer::initTransactions);
                while (!isStopping) {
                    transact(producer);
                }
            } catch (KafkaException fenced) {
                // Another producer of this id took over, or the broker ended a transaction that took too long.
                Thread.sleep(chance.nextInt(500));
            } finally {
                producer.close(Duration.ZERO);
            }
        }
    }

    private void transact(KafkaProducer<String, String> producer) throws Exception {
        number++;
        List<Write> writes = new ArrayList<>();
        for (int place = 0, count = 1 + chance.nextInt(WRITES_MAX); place < count; place++) {
            TopicPartition partition = partitions.get(chance.nextInt(partitions.size()));
            writes.add(new Write(partition, name + "/" + number + "/" + place));
        }
        note("\"begin\":%d,\"writes\":[%s]", number, writes.stream()
                .map(it -> "[\"%s\",\"%s\",null]".formatted(it.partition, it.value))
                .collect(Collectors.joining(",")));
        producer.beginTransaction();
        Map<String, Long> offsets = new ConcurrentHashMap<>();
        boolean commit = send(producer, writes, offsets) && chance.nextInt(4) > 0;
        // The client looks whether batches are left before it looks whether the transaction is to end. If
        // the last record and the end come in between, it ends the transaction and sends the record
        // with the next one's, in one batch of theirs: seen once. So nothing is left.
        producer.flush();
        note("\"end\":%d,\"commit\":%b", number, commit);
        String outcome = end(producer, commit);
        note("\"ended\":%d,\"outcome\":\"%s\",\"offsets\":[%s]", number, outcome, writes.stream()
                .map(it -> String.valueOf(offsets.get(it.value)))
                .collect(Collectors.joining(",")));
    }

    /** Whether everything was taken. */
    private boolean send(
            KafkaProducer<String, String> producer, List<Write> writes, Map<String, Long> offsets) {
        try {
            for (Write write : writes) {
                TopicPartition at = write.partition;
                producer.send(
                        new ProducerRecord<>(at.topic(), at.partition(), null, write.value),
                        (metadata, error) -> {
                            if (error == null && metadata.hasOffset()) {
                                offsets.put(write.value, metadata.offset());
                            }
                        });
                if (chance.nextInt(5) == 0) {
                    // So that one transaction's batches are not all in one request.
                    producer.flush();
                }
            }
            return true;
        } catch (KafkaException refused) {
            return false;
        }
    }

    /** Ends a transaction, if it can be as asked. Says how it ended. */
    private static String end(KafkaProducer<String, String> producer, boolean commit) {
        if (commit) {
            try {
                againAndAgain(producer::commitTransaction);
                return "committed";
            } catch (KafkaException refused) {
                // If it was fenced, the abort is refused as well.
            }
        }
        againAndAgain(producer::abortTransaction);
        return "aborted";
    }

    private static void againAndAgain(Runnable call) {
        while (true) {
            try {
                call.run();
                return;
            } catch (TimeoutException late) {
                // The client goes on with the same call.
            }
        }
    }

    private void note(String format, Object... values) throws IOException {
        file.write("{" + format.formatted(values) + "}\n");
        file.flush();
    }
}
