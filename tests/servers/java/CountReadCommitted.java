import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads a topic as a read_committed consumer sees it, from the beginning to the ends that the partitions have when
 * it starts, and prints each record as a line of JSON, or with --summary one line of counts.
 *
 * <p>Usage: CountReadCommitted BOOTSTRAP TOPIC [TIMEOUT_MS] [--summary]
 *
 * <p>Keys, values and header values are base64 or null. Status 1: not everything could be read in time; 2: usage.
 */
public class CountReadCommitted {
    private static final int NAMED_DUPLICATES = 20;

    public static void main(String[] args) {
        List<String> rest = new ArrayList<>(List.of(args));
        boolean summary = rest.remove("--summary");
        if (rest.size() < 2 || rest.size() > 3) {
            System.err.println("usage: CountReadCommitted BOOTSTRAP TOPIC [TIMEOUT_MS] [--summary]");
            System.exit(2);
        }
        long timeoutMs = rest.size() == 3 ? Long.parseLong(rest.get(2)) : 30_000;
        PrintStream out =
                new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false, StandardCharsets.UTF_8);
        Sink sink = summary ? new Counts() : record -> out.println(json(record));
        Map<TopicPartition, Long> high = ends(rest.get(0), rest.get(1), "read_uncommitted");
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(rest.get(0), "read_committed")) {
            List<TopicPartition> partitions = partitions(consumer, rest.get(1));
            Map<TopicPartition, Long> begins = consumer.beginningOffsets(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            read(consumer, partitions, ends, timeoutMs, sink);
            if (sink instanceof Counts counts) {
                out.println(counts.json(partitions, begins, ends, high));
            }
        } catch (TooSlow e) {
            out.flush();
            System.err.println(e.getMessage());
            System.exit(1);
        }
        out.flush();
    }

    private static void read(
            KafkaConsumer<byte[], byte[]> consumer,
            List<TopicPartition> partitions,
            Map<TopicPartition, Long> ends,
            long timeoutMs,
            Sink sink)
            throws TooSlow {
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        long deadline = System.nanoTime() + timeoutMs * 1_000_000;
        // The position moves past aborted records and markers too, so it reaches the end in every case.
        while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
            if (System.nanoTime() > deadline) {
                String places = partitions.stream()
                        .map(p -> p.partition() + ": " + consumer.position(p) + " of " + ends.get(p))
                        .collect(Collectors.joining(", "));
                throw new TooSlow("not read within " + timeoutMs + " ms: partition " + places);
            }
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                if (record.offset() < ends.get(new TopicPartition(record.topic(), record.partition()))) {
                    sink.take(record);
                }
            }
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, String isolation) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("isolation.level", isolation);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "none");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static Map<TopicPartition, Long> ends(String bootstrap, String topic, String isolation) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap, isolation)) {
            return consumer.endOffsets(partitions(consumer, topic));
        }
    }

    private static List<TopicPartition> partitions(KafkaConsumer<?, ?> consumer, String topic) {
        List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(info -> new TopicPartition(topic, info.partition()))
                .sorted((a, b) -> Integer.compare(a.partition(), b.partition()))
                .toList();
        if (partitions.isEmpty()) {
            System.err.println("topic " + topic + " does not exist");
            System.exit(1);
        }
        return partitions;
    }

    private static String json(ConsumerRecord<byte[], byte[]> record) {
        StringBuilder headers = new StringBuilder();
        for (Header header : record.headers()) {
            headers.append(headers.isEmpty() ? "" : ",");
            headers.append('[').append(quoted(header.key())).append(',').append(base64(header.value())).append(']');
        }
        return "{\"partition\":" + record.partition() + ",\"offset\":" + record.offset()
                + ",\"timestamp\":" + record.timestamp() + ",\"key\":" + base64(record.key())
                + ",\"value\":" + base64(record.value()) + ",\"headers\":[" + headers + "]}";
    }

    private static String base64(byte[] bytes) {
        return bytes == null ? "null" : '"' + Base64.getEncoder().encodeToString(bytes) + '"';
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < ' ') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }

    private interface Sink {
        void take(ConsumerRecord<byte[], byte[]> record);
    }

    private static final class TooSlow extends Exception {
        TooSlow(String message) {
            super(message);
        }
    }

    private static final class Counts implements Sink {
        private final Map<String, Integer> keys = new HashMap<>();
        private long records;
        private long nullKeys;

        @Override
        public void take(ConsumerRecord<byte[], byte[]> record) {
            records++;
            if (record.key() == null) {
                nullKeys++;
            } else {
                keys.merge(base64(record.key()), 1, Integer::sum);
            }
        }

        String json(
                List<TopicPartition> partitions,
                Map<TopicPartition, Long> begins,
                Map<TopicPartition, Long> ends,
                Map<TopicPartition, Long> high) {
            TreeMap<String, Integer> duplicates = new TreeMap<>(keys);
            duplicates.values().removeIf(count -> count == 1);
            String named = duplicates.entrySet().stream()
                    .limit(NAMED_DUPLICATES)
                    .map(entry -> entry.getKey() + ":" + entry.getValue())
                    .collect(Collectors.joining(","));
            String ranges = partitions.stream()
                    .map(p -> "{\"partition\":" + p.partition() + ",\"begin\":" + begins.get(p) + ",\"end\":"
                            + ends.get(p) + ",\"high_watermark\":" + Math.max(high.get(p), ends.get(p)) + "}")
                    .collect(Collectors.joining(","));
            return "{\"records\":" + records + ",\"null_keys\":" + nullKeys + ",\"keys\":" + keys.size()
                    + ",\"duplicate_keys\":" + duplicates.size() + ",\"duplicates\":{" + named
                    + "},\"partitions\":[" + ranges + "]}";
        }
    }
}
