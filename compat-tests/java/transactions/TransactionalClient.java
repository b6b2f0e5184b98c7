import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The Java client's transactions, one command each; what is seen is printed, a line per fact. Run from
 * source against the jars of the newest client: its API is newer than the oldest one's.
 */
public final class TransactionalClient {
    private static final int TIMEOUT_SECONDS = 30;

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[1];
        String topic = arguments[2];
        switch (arguments[0]) {
            case "ends" -> ends(bootstrap, topic);
            case "fence" -> fence(bootstrap, topic);
            case "offsets" -> offsets(bootstrap, topic, arguments[3]);
            case "admin" -> admin(bootstrap, topic);
            case "features" -> features(bootstrap);
            case "leave-open" -> leaveOpen(bootstrap, topic, arguments[3]);
            case "commit-one" -> commitOne(bootstrap, topic, arguments[3]);
            case "read" -> read(bootstrap, topic, Integer.parseInt(arguments[3]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        System.exit(0);
    }

    private static KafkaProducer<String, String> producer(String bootstrap, String id) {
        Map<String, Object> options = Map.of(
                "bootstrap.servers", bootstrap,
                "transactional.id", id,
                "transaction.timeout.ms", 60_000,
                "max.block.ms", TIMEOUT_SECONDS * 1000,
                "delivery.timeout.ms", TIMEOUT_SECONDS * 1000,
                "request.timeout.ms", 10_000,
                "linger.ms", 5);
        return new KafkaProducer<>(options, new StringSerializer(), new StringSerializer());
    }

    private static KafkaConsumer<String, String> consumer(
            String bootstrap, String group, String isolation) {
        Map<String, Object> options = Map.of(
                "bootstrap.servers", bootstrap,
                "group.id", group,
                "enable.auto.commit", false,
                "auto.offset.reset", "earliest",
                "isolation.level", isolation);
        return new KafkaConsumer<>(options, new StringDeserializer(), new StringDeserializer());
    }

    /** Commits and aborts in turn, over two partitions. */
    private static void ends(String bootstrap, String topic) throws Exception {
        try (KafkaProducer<String, String> producer = producer(bootstrap, "ends-" + topic)) {
            producer.initTransactions();
            for (int round = 0; round < 20; round++) {
                producer.beginTransaction();
                for (int i = 0; i < 10; i++) {
                    String value = (round % 3 == 0 ? "aborted " : "committed ") + round;
                    producer.send(new ProducerRecord<>(topic, i % 2, "k" + i, value));
                }
                if (round % 3 == 0) {
                    producer.flush();
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
        }
        read(bootstrap, topic, 2);
    }

    private static List<ConsumerRecord<String, String>> readAll(
            String bootstrap, String topic, int partitions, String isolation) {
        List<ConsumerRecord<String, String>> all = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer(bootstrap, "reader", isolation)) {
            List<TopicPartition> sources = new ArrayList<>();
            for (int i = 0; i < partitions; i++) {
                sources.add(new TopicPartition(topic, i));
            }
            consumer.assign(sources);
            consumer.seekToBeginning(sources);
            Map<TopicPartition, Long> ends = consumer.endOffsets(sources);
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(TIMEOUT_SECONDS);
            while (sources.stream().anyMatch(it -> consumer.position(it) < ends.get(it))) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException("not read: " + ends);
                }
                consumer.poll(Duration.ofMillis(200)).forEach(all::add);
            }
        }
        return all;
    }

    /** How often each value is there, for both kinds of readers. */
    private static void read(String bootstrap, String topic, int partitions) {
        for (String isolation : List.of("read_committed", "read_uncommitted")) {
            TreeMap<String, Integer> counts = new TreeMap<>();
            for (ConsumerRecord<String, String> record : readAll(bootstrap, topic, partitions, isolation)) {
                counts.merge(record.value(), 1, Integer::sum);
            }
            counts.forEach((value, count) ->
                    System.out.println(isolation + "\t" + value + "\t" + count));
        }
    }

    /** The second producer of an id fences the first, whose transaction is aborted. */
    private static void fence(String bootstrap, String topic) throws Exception {
        KafkaProducer<String, String> zombie = producer(bootstrap, "fence-" + topic);
        zombie.initTransactions();
        zombie.beginTransaction();
        zombie.send(new ProducerRecord<>(topic, 0, "k", "zombie")).get();
        try (KafkaProducer<String, String> heir = producer(bootstrap, "fence-" + topic)) {
            heir.initTransactions();
            try {
                zombie.send(new ProducerRecord<>(topic, 0, "k", "zombie"));
                zombie.commitTransaction();
                System.out.println("not fenced");
            } catch (KafkaException expected) {
                Throwable cause = expected;
                while (cause.getCause() != null) {
                    cause = cause.getCause();
                }
                System.out.println("fenced\t" + cause.getClass().getSimpleName());
            }
            heir.beginTransaction();
            heir.send(new ProducerRecord<>(topic, 0, "k", "heir"));
            heir.commitTransaction();
        }
        zombie.close(Duration.ZERO);
        read(bootstrap, topic, 1);
    }

    /** Offsets in a transaction of a subscribed consumer: they count if it commits. */
    private static void offsets(String bootstrap, String topic, String group) throws Exception {
        TopicPartition source = new TopicPartition(topic, 0);
        try (KafkaProducer<String, String> producer = producer(bootstrap, "offsets-" + topic);
                KafkaConsumer<String, String> consumer = consumer(bootstrap, group, "read_committed")) {
            producer.initTransactions();
            producer.beginTransaction();
            for (int i = 0; i < 10; i++) {
                producer.send(new ProducerRecord<>(topic, 0, "k", "in"));
            }
            producer.commitTransaction();
            consumer.subscribe(List.of(topic));
            int seen = 0;
            while (seen < 10) {
                seen += consumer.poll(Duration.ofMillis(200)).count();
            }
            for (boolean commit : new boolean[] {false, true}) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(topic, 1, "k", "out " + commit));
                producer.sendOffsetsToTransaction(
                        Map.of(source, new OffsetAndMetadata(10, "m")), consumer.groupMetadata());
                if (commit) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
                OffsetAndMetadata found = consumer.committed(java.util.Set.of(source)).get(source);
                System.out.println((commit ? "committed" : "aborted") + "\t"
                        + (found == null ? "none" : found.offset() + " " + found.metadata()));
            }
        }
    }

    /** What the admin client shows of an open transaction, and how it ends one that hangs. */
    private static void admin(String bootstrap, String topic) throws Exception {
        String id = "admin-" + topic;
        TopicPartition partition = new TopicPartition(topic, 0);
        KafkaProducer<String, String> producer = producer(bootstrap, id);
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, 0, "k", "open")).get();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            TransactionDescription shown =
                    admin.describeTransactions(List.of(id)).description(id).get();
            System.out.println("described\t" + shown.state() + "\t" + shown.topicPartitions());
            boolean listed = admin.listTransactions().all().get().stream()
                    .anyMatch(it -> it.transactionalId().equals(id));
            System.out.println("listed\t" + listed);
            ProducerState state = admin.describeProducers(List.of(partition))
                    .partitionResult(partition).get().activeProducers().get(0);
            System.out.println("open since\t" + state.currentTransactionStartOffset().getAsLong());
            admin.abortTransaction(new AbortTransactionSpec(
                    partition, state.producerId(), (short) state.producerEpoch(), 0)).all().get();
            boolean open = admin.describeProducers(List.of(partition)).partitionResult(partition)
                    .get().activeProducers().get(0).currentTransactionStartOffset().isPresent();
            System.out.println("open after the abort\t" + open);
            admin.fenceProducers(List.of(id)).all().get();
        }
        try {
            producer.commitTransaction();
            System.out.println("not fenced");
        } catch (KafkaException expected) {
            System.out.println("fenced");
        }
        producer.close(Duration.ZERO);
    }

    private static void features(String bootstrap) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.describeFeatures().featureMetadata().get().finalizedFeatures()
                    .forEach((name, level) -> System.out.println(name + "\t" + level.maxVersionLevel()));
        }
    }

    /** Writes into a transaction and goes away. */
    private static void leaveOpen(String bootstrap, String topic, String id) throws Exception {
        KafkaProducer<String, String> producer = producer(bootstrap, id);
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, 0, "k", "left open")).get();
        System.out.println("open");
        Runtime.getRuntime().halt(0);
    }

    private static void commitOne(String bootstrap, String topic, String id) throws Exception {
        try (KafkaProducer<String, String> producer = producer(bootstrap, id)) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 0, "k", "heir"));
            producer.commitTransaction();
        }
    }
}
