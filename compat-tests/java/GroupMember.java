import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** A member of a consumer group, as compat-tests/README.md describes it, until its stdin ends. */
public final class GroupMember implements ConsumerRebalanceListener {
    private final KafkaConsumer<String, String> consumer;

    private GroupMember(Map<String, Object> configs) {
        consumer = new KafkaConsumer<>(configs, new StringDeserializer(), new StringDeserializer());
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> configs = new HashMap<>();
        configs.put("bootstrap.servers", arguments[0]);
        configs.put("group.id", arguments[1]);
        configs.put("enable.auto.commit", "false");
        configs.put("auto.offset.reset", "earliest");
        for (int i = 3; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            configs.put(pair[0], pair[1]);
        }
        new GroupMember(configs).work(arguments[2]);
    }

    private void work(String topic) throws Exception {
        AtomicBoolean stopping = new AtomicBoolean();
        Thread waiting = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (java.io.IOException gone) {
                // The end of stdin, by other means.
            }
            stopping.set(true);
        });
        waiting.setDaemon(true);
        waiting.start();
        subscribe(topic);
        while (!stopping.get()) {
            ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
            for (ConsumerRecord<String, String> record : records) {
                System.out.println("record\t" + record.topic() + "\t" + record.partition() + "\t"
                        + record.offset() + "\t" + record.value());
            }
            if (!records.isEmpty()) {
                consumer.commitSync();
                System.out.println("committed");
            }
        }
        consumer.close();
        System.out.println("closed");
    }

    /** A topic that begins with ^ is a pattern, which the coordinator resolves (KIP-848). */
    private void subscribe(String topic) throws Exception {
        if (!topic.startsWith("^")) {
            consumer.subscribe(List.of(topic), this);
            return;
        }
        // Clients before 4.0 have no such class.
        Class<?> pattern = Class.forName("org.apache.kafka.clients.consumer.SubscriptionPattern");
        Object wanted = pattern.getConstructor(String.class).newInstance(topic.substring(1));
        KafkaConsumer.class.getMethod("subscribe", pattern, ConsumerRebalanceListener.class)
                .invoke(consumer, wanted, this);
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        show(List.of());
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        // It still has them while it is told.
        show(partitions);
    }

    /** Clients before 2.4 do not know it. */
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        System.out.println("lost");
    }

    private void show(Collection<TopicPartition> without) {
        String held = consumer.assignment().stream()
                .filter(partition -> !without.contains(partition))
                .map(TopicPartition::toString).sorted().collect(Collectors.joining(","));
        System.out.println("assigned\t" + held);
    }
}
