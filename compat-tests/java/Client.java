import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The Java client, 4.x and 2.x, behind the commands of compat-tests/README.md. */
public final class Client {
    private static final int TIMEOUT_SECONDS = 30;
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[1];
        String topic = arguments[2];
        switch (arguments[0]) {
            case "create" -> create(bootstrap, topic, arguments);
            case "delete" -> delete(bootstrap, topic);
            case "produce" -> produce(bootstrap, topic, arguments[3], arguments[4]);
            case "consume" -> consume(bootstrap,
                    new TopicPartition(topic, Integer.parseInt(arguments[3])),
                    Long.parseLong(arguments[4]), Integer.parseInt(arguments[5]));
            case "offset" -> offset(bootstrap,
                    new TopicPartition(topic, Integer.parseInt(arguments[3])),
                    Long.parseLong(arguments[4]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void create(String bootstrap, String topic, String[] arguments) throws Exception {
        Map<String, String> configs = new HashMap<>();
        for (int i = 4; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            configs.put(pair[0], pair[1]);
        }
        NewTopic wanted = new NewTopic(topic, Integer.parseInt(arguments[3]), (short) 1).configs(configs);
        try (AdminClient admin = AdminClient.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(wanted)).all().get(TIMEOUT_SECONDS, TimeUnit.SECONDS);
        }
    }

    private static void delete(String bootstrap, String topic) throws Exception {
        try (AdminClient admin = AdminClient.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.deleteTopics(List.of(topic)).all().get(TIMEOUT_SECONDS, TimeUnit.SECONDS);
        }
    }

    private static void produce(String bootstrap, String topic, String codec, String idempotent)
            throws Exception {
        Map<String, Object> options = Map.of(
                "bootstrap.servers", bootstrap,
                "compression.type", codec,
                "enable.idempotence", idempotent,
                "acks", "all",
                "linger.ms", 20);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(options, new ByteArraySerializer(), new ByteArraySerializer())) {
            BufferedReader lines =
                    new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] fields = line.split("\t", -1);
                sent.add(producer.send(new ProducerRecord<>(
                        topic, Integer.valueOf(fields[0]), Long.valueOf(fields[1]),
                        fromText(fields[2]), fromText(fields[3]), headersFrom(fields[4]))));
            }
            producer.flush();
            for (Future<RecordMetadata> future : sent) {
                RecordMetadata delivered = future.get(TIMEOUT_SECONDS, TimeUnit.SECONDS);
                System.out.println(delivered.partition() + "\t" + delivered.offset());
            }
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String bootstrap) {
        Map<String, Object> options = Map.of(
                "bootstrap.servers", bootstrap,
                "enable.auto.commit", false,
                "auto.offset.reset", "none",
                "check.crcs", true);
        return new KafkaConsumer<>(options, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static void consume(String bootstrap, TopicPartition source, long offset, int count) {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(TIMEOUT_SECONDS);
        StringBuilder out = new StringBuilder();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap)) {
            consumer.assign(Collections.singletonList(source));
            consumer.seek(source, offset);
            int left = count;
            while (left > 0) {
                if (System.nanoTime() > end) {
                    throw new IllegalStateException("not consumed: timed out");
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    if (left-- <= 0) {
                        break;
                    }
                    out.append(record.offset()).append('\t')
                            .append(record.partition()).append('\t')
                            .append(record.timestamp()).append('\t')
                            .append(toText(record.key())).append('\t')
                            .append(toText(record.value())).append('\t')
                            .append(headersToText(record)).append('\n');
                }
            }
        }
        System.out.print(out);
    }

    private static void offset(String bootstrap, TopicPartition source, long timestamp) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap)) {
            OffsetAndTimestamp found =
                    consumer.offsetsForTimes(Collections.singletonMap(source, timestamp)).get(source);
            System.out.println(found == null ? -1 : found.offset());
        }
    }

    private static List<Header> headersFrom(String text) {
        List<Header> headers = new ArrayList<>();
        for (String pair : text.isEmpty() ? new String[0] : text.split(",")) {
            String[] parts = pair.split("=", -1);
            String name = new String(HEX.parseHex(parts[0]), StandardCharsets.UTF_8);
            headers.add(new RecordHeader(name, fromText(parts[1])));
        }
        return headers;
    }

    private static String headersToText(ConsumerRecord<byte[], byte[]> record) {
        List<String> pairs = new ArrayList<>();
        for (Header header : record.headers()) {
            byte[] name = header.key().getBytes(StandardCharsets.UTF_8);
            pairs.add(HEX.formatHex(name) + "=" + toText(header.value()));
        }
        return String.join(",", pairs);
    }

    private static byte[] fromText(String text) {
        return text.equals("-") ? null : HEX.parseHex(text);
    }

    private static String toText(byte[] bytes) {
        return bytes == null ? "-" : HEX.formatHex(bytes);
    }
}
