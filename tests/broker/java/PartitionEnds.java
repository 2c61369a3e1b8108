import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Prints a line for each partition of every topic whose name begins with a prefix: topic, partition, begin, last
 * stable offset, high watermark.
 *
 * <p>Usage: PartitionEnds BOOTSTRAP PREFIX
 */
public class PartitionEnds {
    public static void main(String[] args) {
        try (KafkaConsumer<byte[], byte[]> all = consumer(args[0], "read_uncommitted");
                KafkaConsumer<byte[], byte[]> committed = consumer(args[0], "read_committed")) {
            List<TopicPartition> partitions = all.listTopics().entrySet().stream()
                    .filter(entry -> entry.getKey().startsWith(args[1]))
                    .flatMap(entry -> entry.getValue().stream())
                    .map(info -> new TopicPartition(info.topic(), info.partition()))
                    .toList();
            Map<TopicPartition, Long> begins = all.beginningOffsets(partitions);
            Map<TopicPartition, Long> high = all.endOffsets(partitions);
            Map<TopicPartition, Long> stable = committed.endOffsets(partitions);
            TreeMap<String, String> lines = new TreeMap<>();
            for (TopicPartition p : partitions) {
                lines.put(
                        p.toString(),
                        p.topic() + " " + p.partition() + " " + begins.get(p) + " " + stable.get(p) + " " + high.get(p));
            }
            lines.values().forEach(System.out::println);
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, String isolation) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("isolation.level", isolation);
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }
}
